"""Google in the sandbox: its hosts, who may call them, and its controls for tests and developers."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from email.utils import parseaddr
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

from dev.sandbox.clock import Clock
from dev.sandbox.google import calendar, errors, events, gmail, mail, oauth, security_events
from dev.sandbox.google.accounts import PRIMARY, Account, Calendar, new_calendar, open_account
from dev.sandbox.google.grants import CLIENT_ID, Claims, Grants, issue_token
from dev.sandbox.google.methods import Method
from dev.sandbox.routing import Control, PathValues, Route
from dev.sandbox.studio import Letter, Person
from dev.sandbox.wire import Json, Pairs, Request, Response

CACHED_RESPONSES = 128
ROBIN = Person("Robin Beck", "robin.beck@example.com")


class Google:
    """Accounts are named `studio`, `empty` or `bulk-N`, and are created when first used."""

    def __init__(self, clock: Clock, state_dir: Path | None = None) -> None:
        self._clock, self._today = clock, clock().date()
        self._grants = Grants(state_dir / "google.json" if state_dir else None)
        self._accounts: dict[str, Account] = {}
        self._lock = Lock()
        self.oauth = oauth.OAuth(self._grants, self._find)
        self._answer = lru_cache(CACHED_RESPONSES)(self._answer_afresh)

    def hosts(self) -> Mapping[str, Sequence[Route]]:
        subject_routes = self.oauth.routes()
        return {
            calendar.HOST: (*self._routes(calendar.METHODS + oauth.METHODS), *subject_routes[oauth.API_HOST]),
            gmail.HOST: self._routes(gmail.METHODS),
            oauth.HOST: subject_routes[oauth.HOST],
            oauth.CONSENT_HOST: subject_routes[oauth.CONSENT_HOST],
        }

    def failure(self, host: str, status: int) -> Response:
        of_oauth = host in (oauth.HOST, oauth.CONSENT_HOST)
        return errors.oauth_failure(status) if of_oauth else errors.failure(status)

    def controls(self) -> Sequence[Control]:
        return (
            Control("POST", "/issue_token", lambda **given: asdict(issue_token(**given))),
            Control("POST", "/revoke", self.revoke),
            Control("POST", "/client-secrets", self.set_client_secrets),
            Control("POST", "/testing-mode", self.set_testing_mode),
            Control("POST", "/expire-codes", self.oauth.codes.expire),
            Control("POST", "/security-event", lambda **given: {"token": self.security_event(**given)}),
            Control("POST", "/expire-sync-tokens", self.expire_sync_tokens),
            Control("POST", "/expire-history", self.expire_history),
            Control("POST", "/events", self.add_event),
            Control("PATCH", "/events", self.update_event),
            Control("DELETE", "/events", self.delete_event),
            Control("POST", "/move-event", self.move_event),
            Control("POST", "/copy-event", self.copy_event),
            Control("POST", "/respond", self.respond),
            Control("POST", "/calendars", self.add_calendar),
            Control("DELETE", "/calendars", self.remove_calendar),
            Control("POST", "/rename-calendar", self.rename_calendar),
            Control("POST", "/messages", self.add_message),
            Control("PATCH", "/messages", self.label_message),
            Control("DELETE", "/messages", self.delete_message),
        )

    def revoke(self, account: str = "studio") -> None:
        """The user withdraws the consent: every earlier token is dead, new grants work."""
        self._grants.revoke(account)

    def set_client_secrets(self, secrets: Sequence[str]) -> None:
        """Sets the client's valid secrets."""
        self.oauth.client.secrets = list(secrets)

    def set_testing_mode(self, testing: bool = True) -> None:
        """Whether the consent screen is in Testing, where grants report that they expire after a week."""
        self.oauth.refresh_lifetime = 604_799 if testing else None

    def security_event(
        self, event: str = security_events.OAUTH + "tokens-revoked", account: str = "studio", **details: str
    ) -> str:
        """A security event token about the user of an account, as Google posts it to the application's receiver."""
        subject = security_events.user_subject(self.account(account).user_id)
        return security_events.sign(security_events.claims(event, subject, CLIENT_ID, **details))

    def expire_sync_tokens(self, account: str = "studio", calendar: str = PRIMARY) -> None:
        self._calendar(account, calendar).changes.forget()

    def expire_history(self, account: str = "studio") -> None:
        self.account(account).history.forget()

    def add_event(self, event: Json | None = None, account: str = "studio", calendar: str = PRIMARY) -> Json:
        """`event` holds the members that matter, in Calendar's format; the others get defaults."""
        owner = self.account(account)
        event_id = (event or {}).get("id") or secrets.token_hex(13)
        return owner.put_event(lambda at: events.new_event(event_id, owner.owner, event or {}, at), calendar)

    def update_event(self, event_id: str, changes: Json, account: str = "studio", calendar: str = PRIMARY) -> Json:
        owner = self.account(account)
        before = owner.event(event_id, calendar)
        return owner.put_event(lambda at: events.changed_event(before, changes, at), calendar)

    def delete_event(self, event_id: str, account: str = "studio", calendar: str = PRIMARY) -> Json:
        owner = self.account(account)
        gone = events.deleted_event(owner.event(event_id, calendar))
        return owner.put_event(lambda at: gone, calendar)

    def move_event(self, event_id: str, to: str, account: str = "studio", calendar: str = PRIMARY) -> Json:
        """Moves an event to another calendar with the same id; in the old calendar it looks deleted."""
        owner, target = self.account(account), self._calendar(account, to)
        event = owner.event(event_id, calendar)
        owner.put_event(lambda at: events.deleted_event(event), calendar)
        return owner.put_event(lambda at: events.moved_event(event, target.id, target.name, at), to)

    def copy_event(
        self, event_id: str, to: str, new_id: str = "", account: str = "studio", calendar: str = PRIMARY
    ) -> Json:
        """Copies an event, like an invitation in both calendars: same iCalUID, and same id unless `new_id` is given."""
        owner = self.account(account)
        event = owner.event(event_id, calendar)
        return owner.put_event(lambda at: {**event, "id": new_id or event_id}, to)

    def add_calendar(self, calendar_id: str, name: str, role: str = "owner", account: str = "studio") -> None:
        owner = self.account(account)
        start = owner.changes.oldest
        owner.others[calendar_id] = new_calendar(calendar_id, name, start, self._clock, role=role)

    def remove_calendar(self, calendar_id: str, account: str = "studio") -> None:
        """Removes a calendar, as if it was deleted or is no longer shared with the user."""
        self._calendar(account, calendar_id)
        del self.account(account).others[calendar_id]

    def respond(self, event_id: str, response: str, account: str = "studio") -> Json:
        """The owner of the calendar answers an invitation: `accepted`, `declined`, `tentative` or `needsAction`."""
        owner = self.account(account)
        before = owner.event(event_id)
        return owner.put_event(lambda at: events.answered_event(before, response, owner.owner, at))

    def rename_calendar(self, address: str, account: str = "studio") -> None:
        """Changes the account's primary address, which is the id of its calendar."""
        renamed = self.account(account)
        with self._lock:
            self._accounts[account] = replace(renamed, owner=Person(renamed.owner.name, address))

    def add_message(
        self,
        *,
        thread_id: str = "",
        sender: str = "",
        subject: str = "Wedding inquiry",
        text: str = "Hello, are you free on the first Saturday in September?",
        labels: Sequence[str] = ("INBOX", "UNREAD"),
        headers: Mapping[str, str] | None = None,
        account: str = "studio",
    ) -> Json:
        """A message that arrives now, in a new thread unless one is named. The studio's own has the label SENT.

        `sender` is the other party: by default that of the thread, and Robin Beck for a new thread.
        """
        owner = self.account(account)
        thread = owner.threads.get(thread_id)
        other = Person(*parseaddr(sender)) if sender else mail.other_party(thread, owner.owner) or ROBIN
        answers = dict([mail.answering(thread["messages"][-1]["id"])]) if thread else {}
        letter = Letter(
            sender=owner.owner if "SENT" in labels else other,
            to=owner.owner if "SENT" not in labels else other,
            sent_at=self._clock(),
            subject=subject,
            text=text,
            labels=tuple(labels),
            headers=tuple({**answers, **(headers or {})}.items()),
        )
        message_id = secrets.token_hex(8)
        names = {"message_id": message_id, "thread_id": thread_id or message_id}
        return owner.put_message(thread_id, lambda at: mail.message(letter, **names, position=at))

    def label_message(
        self, message_id: str, add: Sequence[str] = (), remove: Sequence[str] = (), account: str = "studio"
    ) -> Json:
        """Changes labels: `add` TRASH and `remove` INBOX deletes a message, `remove` SPAM restores it."""
        return self.account(account).label_message(message_id, add, remove)

    def delete_message(self, message_id: str, account: str = "studio") -> None:
        self.account(account).delete_message(message_id)

    def _calendar(self, account: str, calendar_id: str) -> Calendar:
        calendar = self.account(account).calendar(calendar_id)
        if calendar is None:
            raise ValueError(f"there is no calendar {calendar_id!r}")
        return calendar

    def account(self, name: str) -> Account:
        """Raises ValueError for an invalid account name."""
        account = self._find(name)
        if account is None:
            raise ValueError(f"there is no account {name!r}: use studio, empty or bulk-N")
        return account

    def _find(self, name: str) -> Account | None:
        with self._lock:
            if name not in self._accounts and (opened := open_account(name, self._today, self._clock)):
                self._accounts[name] = opened
            return self._accounts.get(name)

    def _routes(self, methods: Iterable[Method]) -> tuple[Route, ...]:
        return tuple(Route(method.id, "GET", method.path, partial(self._call, method)) for method in methods)

    def _call(self, method: Method, request: Request, path: PathValues) -> Response:
        claims, account = self._authorised(request)
        values = tuple(path.items())
        return self._answer(method, account.name, account.version(), claims.scopes, values, request.query)

    def _answer_afresh(
        self,
        method: Method,
        account: str,
        version: tuple[int | str, ...],
        scopes: tuple[str, ...],
        path: Pairs,
        query: Pairs,
    ) -> Response:
        """Cached, because the response depends only on these arguments: `version` changes with every change."""
        return method.call(self.account(account), scopes, dict(path), query)

    def _authorised(self, request: Request) -> tuple[Claims, Account]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise errors.no_credentials()
        claims = self._grants.access(token.strip())
        account = self._find(claims.account) if claims else None
        if claims is None or account is None:
            raise errors.invalid_credentials()
        return claims, account

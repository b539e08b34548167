"""Meta in the sandbox: its hosts, who may call it, and its controls for tests and developers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from urllib.parse import urlencode

from dev.sandbox.meta import errors
from dev.sandbox.meta.accounts import BERLIN, AdAccount, User, open_user
from dev.sandbox.meta.edges import EDGES, Call, Edge, Shown
from dev.sandbox.meta.grants import Claims, Removals, issue_token, read
from dev.sandbox.meta.oauth import HOST, OAuth, signed_request
from dev.sandbox.meta.params import Params
from dev.sandbox.meta.usage import Usage, with_headers
from dev.sandbox.routing import Control, PathValues, Route
from dev.sandbox.wire import Json, Refusal, Request, Response, as_json

SCHEMES = ("bearer", "oauth")


class Meta:
    """Users are named `studio`, `empty` or `bulk-N`, and are created when first used.

    The day is `today` until `advance_days`; without one, each ad account's day follows the clock.
    """

    def __init__(self, today: date | None = None, state_dir: Path | None = None) -> None:
        self._fixed = today
        self._opened_on = today or datetime.now(BERLIN).date()
        self._passed = timedelta()
        self._epoch = 0
        self._removals = Removals(state_dir / "meta.json" if state_dir else None)
        self._users: dict[str, User] = {}
        self._lock = Lock()
        self.oauth = OAuth(self._removals, self._find)
        self.usage = Usage()

    def hosts(self) -> Mapping[str, Sequence[Route]]:
        routes = self.oauth.routes()
        edges = [Route(edge.name, "GET", edge.path, partial(self._call, edge)) for edge in EDGES]
        return {**routes, HOST: [*routes[HOST], *edges]}

    def failure(self, host: str, status: int) -> Response:
        return errors.failure(status)

    def controls(self) -> Sequence[Control]:
        return (
            Control("POST", "/meta/issue_token", lambda **given: asdict(issue_token(**given))),
            Control("POST", "/meta/revoke", self.revoke),
            Control("POST", "/meta/client-secrets", self.set_client_secrets),
            Control("POST", "/meta/expire-codes", self.oauth.codes.expire),
            Control("POST", "/meta/signed-request", lambda account="studio": {"token": self.signed_request(account)}),
            Control("POST", "/meta/restate", self.restate),
            Control("POST", "/meta/pass-days", self.advance_days),
            Control("POST", "/meta/usage", self.set_usage),
            Control("POST", "/meta/expire-cursors", self.expire_cursors),
            Control("PATCH", "/meta/campaigns", self.update_campaign),
            Control("POST", "/meta/refuse-ad-account", self.refuse_ad_account),
            Control("POST", "/meta/share-ad-account", self.share_ad_account),
        )

    def revoke(self, account: str = "studio") -> None:
        """The user removes the application: every earlier token is dead, new grants work."""
        self._removals.remove(account)

    def set_client_secrets(self, secrets: Sequence[str]) -> None:
        """Sets the application's valid secrets."""
        self.oauth.client.secrets = list(secrets)

    def signed_request(self, account: str = "studio") -> str:
        """What Meta posts to the application's callbacks about a user, signed with its first secret."""
        return signed_request(self.user(account).record["id"], secret=self.oauth.client.secrets[0])

    def advance_days(self, days: int = 1) -> None:
        """Advances the date: new days exist, and past ones appear as from further away."""
        self._passed += timedelta(days=days)

    def restate(self, campaign_id: str, day: str, changes: Json, account: str = "studio") -> Json:
        """Changes a day's numbers: impressions, clicks, spend, leads, purchases, conversations."""
        user = self.user(account)
        ad_account, _ = user.find_campaign(campaign_id)
        return user.restate(campaign_id, date.fromisoformat(day), self._today(ad_account), changes)

    def update_campaign(self, campaign_id: str, changes: Json, account: str = "studio") -> Json:
        """Edits a campaign in Graph's format; with the status DELETED it is no longer listed."""
        ad_account, campaign = self.user(account).find_campaign(campaign_id)
        ad_account.campaigns[campaign_id] = campaign.changed(changes)
        return ad_account.campaigns[campaign_id].record

    def refuse_ad_account(self, ad_account: str, code: int = 200, account: str = "studio") -> None:
        """Makes requests for one ad account fail: 200 for a permission, 80004 for its rate limit, 2 for a transient
        error, 0 for none."""
        self.user(account).ad_account(ad_account).refusal = code

    def share_ad_account(self, ad_account: str, shared: bool = True, account: str = "studio") -> None:
        """Sets whether the ad account is still shared with the user."""
        self.user(account).ad_account(ad_account).shared = shared

    def set_usage(self, app: float = 3, account: float = 2, minutes: int = 0) -> None:
        """Sets percentages of the quotas; from 100 on requests are rejected, for as many minutes as the headers say."""
        self.usage = Usage(app, account, minutes)

    def expire_cursors(self) -> None:
        """Invalidates all cursors, so that no list can be continued."""
        self._epoch += 1

    def user(self, name: str) -> User:
        """Raises ValueError for an invalid user name."""
        user = self._find(name)
        if user is None:
            raise ValueError(f"there is no user {name!r}: use studio, empty or bulk-N")
        return user

    def _find(self, name: str) -> User | None:
        with self._lock:
            if name not in self._users and (opened := open_user(name, self._opened_on)):
                self._users[name] = opened
            return self._users.get(name)

    def _today(self, account: AdAccount) -> date:
        return (self._fixed or datetime.now(account.zone).date()) + self._passed

    def _call(self, edge: Edge, request: Request, path: PathValues) -> Response:
        """Meta reports usage with refusals as well."""
        account_id = path.get("accountId", "")
        told = self.usage.headers(edge.use_case, account_id)
        try:
            answer = self._answer(edge, request, account_id)
        except Refusal as refusal:
            raise Refusal(with_headers(refusal.response, told)) from None
        return as_json(answer, headers=told)

    def _answer(self, edge: Edge, request: Request, account_id: str) -> Json:
        claims, user, token = self._authorised(request)
        self.usage.check(edge.use_case)
        params = Params(request.query, edge.params, self._epoch)
        answer = edge.answer(Call(user, claims.scopes, claims.declined, account_id, params, self._today))
        return _page(answer, params, request, token) if isinstance(answer, Shown) else answer

    def _authorised(self, request: Request) -> tuple[Claims, User, str]:
        """From the Authorization header, or from the parameter that the vendor's own clients use."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = given.strip() if scheme.lower() in SCHEMES else dict(request.query).get("access_token", "")
        if not token:
            raise errors.no_token()
        claims = read(token)
        user = self._find(claims.account) if claims else None
        if claims is None or user is None:
            raise errors.malformed_token(token)
        if self._removals.covers(claims):
            raise errors.removed_application()
        if claims.expires_at <= datetime.now(BERLIN).timestamp():
            raise errors.expired_token()
        return claims, user, token


def _page(shown: Shown, params: Params, request: Request, token: str) -> Json:
    names = params.fields(shown.fields, shown.default, shown.always)
    start, size = params.start(), params.limit()
    looks = [shown.look(item) for item in shown.items[start : start + size]]
    data = [{name: look[name] for name in names if name in look} for look in looks]
    if not data:
        return {"data": []}
    after = params.cursor(start + size)
    paging: Json = {"cursors": {"before": params.cursor(start), "after": after}}
    if start + size < len(shown.items):
        following = urlencode({**params.with_cursor(after), "access_token": token})
        address = f"http://{request.headers.get('host', '')}/{HOST}{request.path}"
        paging["next"] = f"{address}?{following}"
    return {"data": data, "paging": paging}

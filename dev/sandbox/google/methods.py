"""A method of a Google API as its discovery document names it, and the checks that come before its answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dev.sandbox.google.accounts import Account
from dev.sandbox.google.errors import insufficient_scope, invalid_parameter
from dev.sandbox.routing import PathValues
from dev.sandbox.tokens import seal, unseal
from dev.sandbox.wire import Json, Pairs, Response

# Parameters every method takes and that change nothing here; the others of that kind are not served.
EVERYWHERE = frozenset({"alt", "key", "prettyPrint", "quotaUser"})


@dataclass(frozen=True)
class Call:
    """An authorised request of a method."""

    account: Account
    scopes: frozenset[str]
    path: PathValues
    params: "Params"


@dataclass(frozen=True, eq=False)
class Method:
    """`path` is the whole one on the host; any of `scopes` is enough; `params` are the query parameters served."""

    id: str
    path: str
    scopes: tuple[str, ...]
    answer: Callable[[Call], Response]
    params: tuple[str, ...] = ()

    def call(self, account: Account, scopes: Sequence[str], path: PathValues, query: Pairs) -> Response:
        if not set(self.scopes) & set(scopes):
            raise insufficient_scope(self.scopes)
        return self.answer(Call(account, frozenset(scopes), path, Params(query, self.params)))


class Params:
    """Query parameters by their discovery types; whatever does not fit is a 400 that names the parameter."""

    def __init__(self, query: Pairs, served: Sequence[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in query:
            if name not in served and name not in EVERYWHERE:
                raise invalid_parameter(name, f"Unknown parameter, or not one the sandbox serves: {name}")
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        values = self._values.get(name)
        return values[-1] if values else None

    def texts(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        chosen = self.choices(name, choices)
        return chosen[-1] if chosen else None

    def choices(self, name: str, choices: Sequence[str]) -> list[str]:
        for value in self.texts(name):
            if value not in choices:
                raise invalid_parameter(name, f"Invalid value '{value}'. Values must be among {', '.join(choices)}")
        return self.texts(name)

    def flag(self, name: str) -> bool:
        return self.choice(name, ("true", "false")) == "true"

    def size(self, *, default: int, most: int) -> int:
        """`maxResults`; Google cuts what is too large."""
        text = self.text("maxResults")
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and int(text)):
            raise invalid_parameter("maxResults", f"Invalid value '{text}'. Values must be at least 1")
        return min(int(text), most)

    def moment(self, name: str) -> datetime | None:
        """An RFC 3339 time, which has an offset."""
        text = self.text(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise invalid_parameter(name, "Bad Request") from None
        if moment.tzinfo is None:
            raise invalid_parameter(name, "Bad Request")
        return moment

    def page(self) -> Mapping[str, int]:
        """What the page token says; empty on the first page. It belongs to the parameters it was made for."""
        token = self.text("pageToken")
        if token is None:
            return {}
        claims = unseal("page", token)
        if claims is None or claims["of"] != self._fingerprint():
            raise invalid_parameter("pageToken", "Invalid page token value.")
        return {name: value for name, value in claims.items() if name != "of"}

    def page_token(self, **claims: int) -> str:
        """The token that continues this very request."""
        return seal("page", {**claims, "of": self._fingerprint()})

    def _fingerprint(self) -> Json:
        ignored = EVERYWHERE | {"pageToken", "maxResults"}
        return {name: values for name, values in sorted(self._values.items()) if name not in ignored}

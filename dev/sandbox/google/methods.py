"""A method of a Google API, named as in its discovery document, and the checks before its response."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dev.sandbox.google.accounts import Account
from dev.sandbox.google.errors import insufficient_scope, invalid_parameter
from dev.sandbox.routing import PathValues
from dev.sandbox.tokens import seal, unseal
from dev.sandbox.wire import Json, Pairs, Response

# Parameters that every method accepts and that have no effect here; other common ones are not supported.
EVERYWHERE = frozenset({"alt", "key", "prettyPrint", "quotaUser"})


@dataclass(frozen=True)
class Call:
    """An authorised request for a method."""

    account: Account
    scopes: frozenset[str]
    path: PathValues
    params: "Params"


@dataclass(frozen=True, eq=False)
class Method:
    """`path` is the complete path on the host; any of `scopes` suffices; `params` are the supported parameters."""

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
    """Query parameters by their discovery types; an invalid one results in a 400 that names it."""

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
        """`maxResults`; Google caps values that are too large."""
        text = self.text("maxResults")
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and int(text)):
            raise invalid_parameter("maxResults", f"Invalid value '{text}'. Values must be at least 1")
        return min(int(text), most)

    def moment(self, name: str) -> datetime | None:
        """An RFC 3339 time, with an offset."""
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
        """The page token's content; empty on the first page. A token is valid only with the same parameters."""
        token = self.text("pageToken")
        if token is None:
            return {}
        claims = unseal("page", token)
        if claims is None or claims["of"] != self._fingerprint():
            raise invalid_parameter("pageToken", "Invalid page token value.")
        return {name: value for name, value in claims.items() if name != "of"}

    def page_token(self, **claims: int) -> str:
        """The token that continues this request."""
        return seal("page", {**claims, "of": self._fingerprint()})

    def _fingerprint(self) -> Json:
        ignored = EVERYWHERE | {"pageToken", "maxResults"}
        return {name: values for name, values in sorted(self._values.items()) if name not in ignored}

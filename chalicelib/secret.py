"""The type secrets travel in: whatever prints, logs or pickles it sees a mask."""

import hmac
from typing import NoReturn

MASK = "********"


class Secret:
    """A token, key or password. `reveal()` is the only way to the value, so every use of it can be found by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # surrogatepass, because a UnicodeEncodeError carries the text it stumbled over
        mine, theirs = (value.encode("utf-8", "surrogatepass") for value in (self._value, other._value))
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # a secret is never a key of anything

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not leave the process")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret does not leave the process")

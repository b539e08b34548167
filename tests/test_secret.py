"""Only reveal() shows a Secret's value."""

import copy
import pickle
from dataclasses import asdict, dataclass

import msgspec
import pytest

from chalicelib.secret import MASK, Secret

CANARY = "canary-5f2a"


@pytest.mark.parametrize(
    "printed",
    [
        str(Secret(CANARY)),
        repr(Secret(CANARY)),
        f"{Secret(CANARY)} {Secret(CANARY)!r} {Secret(CANARY):>40}",
        "%s %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031  the old formatting is what logging uses
        repr({"token": [Secret(CANARY)]}),
        repr(ValueError(Secret(CANARY))),
    ],
)
def test_every_way_of_printing_a_secret_shows_the_mask(printed: str) -> None:
    assert CANARY not in printed
    assert MASK in printed


def test_reveal_returns_the_value() -> None:
    assert Secret(CANARY).reveal() == CANARY


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="does not leave the process"):
        pickle.dumps(Secret(CANARY), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, Secret.__getstate__])
def test_the_copy_protocol_does_not_reveal_a_secret(duplicate: object) -> None:
    assert callable(duplicate)
    with pytest.raises(TypeError):
        duplicate(Secret(CANARY))


def test_a_secret_cannot_be_encoded_as_json() -> None:
    @dataclass
    class Grant:
        token: Secret

    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(CANARY))
    with pytest.raises(TypeError):
        asdict(Grant(Secret(CANARY)))


def test_a_secret_takes_no_attributes() -> None:
    with pytest.raises(AttributeError):
        Secret(CANARY).note = "x"  # type: ignore[attr-defined]


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\udc00") != Secret("\udc01")


def test_a_secret_is_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        {Secret("a")}


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("a")

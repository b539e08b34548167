"""URLs: path values are quoted, and only the template may be logged."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.core.urls import Url, known, url_of

ROOT = Path(__file__).parents[2] / "chalicelib"
EVENTS = "https://www.googleapis.com/calendar/v3/calendars/{calendar}/events"


def test_a_value_is_quoted_in_its_place() -> None:
    url = url_of(EVENTS, calendar="anna@example.org")
    assert url.address == "https://www.googleapis.com/calendar/v3/calendars/anna%40example.org/events"
    assert url.route == "www.googleapis.com/calendar/v3/calendars/{calendar}/events"


@given(st.text(max_size=20))
def test_no_value_escapes_its_segment(value: str) -> None:
    address = url_of(EVENTS, calendar=value.encode("utf-8", "replace").decode()).address
    assert address.count("/") == EVENTS.count("/")
    assert not set("?#@ {}") & set(address)


def test_a_query_is_part_of_the_address_only() -> None:
    url = url_of(EVENTS, calendar="primary").with_query("q=private")
    assert url.address.endswith("/events?q=private")
    assert "private" not in url.route + repr(url)
    assert url.with_query("") == url


@pytest.mark.parametrize(
    "template",
    [
        "https://api.acme.test/users/anna@example.org",
        "https://api.acme.test/users/anna%40example.org",
        "https://api.acme.test/users/1042",
        "https://api.acme.test/users?name=Anna",
        "https://api.acme.test/users/Anna Ruiz",
        "https://api.acme.test/users/{user",
        "http://api.acme.test/users",
        "/users",
    ],
)
def test_an_invalid_template_is_rejected_without_quoting_it(template: str) -> None:
    with pytest.raises(ValueError, match="a URL template is") as caught:
        url_of(template)
    assert "nna" not in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "https://graph.facebook.com/v26.0/{ad_account}/campaigns",
        "https://api.acme.test/v1beta/properties/{property}:runReport",
        "https://oauth2.googleapis.com/token",
    ],
)
def test_versions_and_methods_are_words(template: str) -> None:
    assert url_of(template, ad_account="act_1", property="1").route == template.removeprefix("https://")


def test_a_plain_url_reveals_only_its_host() -> None:
    address = "https://api.acme.test/users/anna@example.org?token=x"
    assert known(address) == Url(address, "api.acme.test/...")
    assert known(url_of(EVENTS, calendar="x")) == url_of(EVENTS, calendar="x")


def templates() -> list[tuple[str, ast.expr]]:
    """The first argument of each call of `url_of` in the product, with its location."""
    calls = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "url_of":
                calls.append((f"{path.relative_to(ROOT)}:{node.lineno}", node.args[0]))
    return calls


def is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name.isupper()
        case (
            ast.Attribute(value=ast.Name(id="oauth"), attr=name)
            | ast.Attribute(value=ast.Attribute(attr="oauth"), attr=name)
        ):
            return name in ("token_url", "revoke_url")
        case ast.BinOp(left=left, right=right):
            return is_constant(left) and is_constant(right)
        case ast.JoinedStr(values=values):
            return all(is_constant(each.value if isinstance(each, ast.FormattedValue) else each) for each in values)
    return False


def test_every_template_is_a_constant() -> None:
    calls = templates()
    assert len(calls) > 10
    # A KeySet is given its platform's constant.
    assert [place for place, node in calls if not is_constant(node) and "jwks" not in place] == []
    assert not is_constant(ast.parse('f"{BASE_URL}/calendars/{calendar_id}"', mode="eval").body)

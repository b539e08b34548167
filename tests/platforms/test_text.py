"""Text from strangers: whatever they write, the result can be stored and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.core.text import LONGEST, clean, from_entities, from_html
from tests.calls import calls_of
from tests.platforms.texts import ANY_TEXT, storable

PIECES = (
    "<p>",
    "</p>",
    "<![",
    "<!--",
    "-->",
    "<?",
    "&#",
    "&amp;",
    "<br",
    ">",
    "<a href=",
    '"',
    "x",
    "=",
    "\0",
    "\ud800",
)
MARKUP = st.lists(st.sampled_from(PIECES)).map("".join)


@given(ANY_TEXT | MARKUP)
def test_any_text_becomes_storable(text: str) -> None:
    assert storable(clean(text))
    assert storable(from_html(text))
    assert storable(from_entities(text))


def test_text_is_cut_at_its_maximum_length() -> None:
    assert clean("x" * 50_000) == "x" * LONGEST


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (None, None),
        ("", None),
        (" plain\ntext ", "plain\ntext"),
        ("<p>Hello<br>you &amp; me</p><p>second</p>", "Hello\nyou & me\n\nsecond"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        (
            "<table><tr><td>Name</td><td>Ana</td></tr><tr><td>Guests</td><td>80</td></tr></table>",
            "Name Ana\n\nGuests 80",
        ),
        ("<script>steal()</script>seen", "seen"),
        ("<STYLE>p { }</STYLE>seen<!-- not this -->", "seen"),
        ("<title> of a book, never closed", "of a book, never closed"),
        ("<!DOCTYPE html><![if !mso]><o:p></o:p>seen<![endif]>", "seen"),
        ("<b></b>", None),
        ("&lt;b&gt; is bold", "<b> is bold"),
    ],
)
def test_markup_is_reduced_to_its_words(html: str | None, text: str | None) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    "text",
    [
        "budget < 5000 & flexible",
        "Ana Ruiz <ana@example.org>",
        "Ana <mailto:ana@example.org>, <https://x.test/a>",
        "a<b and c>d",
        "x <y> z <strange> <bride & groom>",
        "first line\nsecond line: 3 < 4\n\nfourth",
        "https://x.test/?a=1&copy=2&reg=3&lt=4",
        "<-- arrow, <!-- no comment",
        "<a b c>",
    ],
)
def test_text_that_only_looks_like_markup_stays(text: str) -> None:
    assert from_html(text) == text


def test_an_address_stays_among_markup() -> None:
    assert from_html("<p>From: Ana Ruiz <ana@example.org></p>") == "From: Ana Ruiz <ana@example.org>"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://x.test">link</a>&nbsp;text', "link (https://x.test) text"),
        (
            'our <a class="b" href="https://x.test/?a=1&amp;b=2">page</a>, then',
            "our page (https://x.test/?a=1&b=2), then",
        ),
        ('<a href="https://x.test/">https://x.test</a>', "https://x.test"),
        ("<a href='http://x.test'>X.test</a>", "X.test"),
        ("<a href=mailto:ana@example.org>Ana</a>", "Ana (ana@example.org)"),
        ('<a href="mailto:ana@example.org">ana@example.org</a>', "ana@example.org"),
        ('<a href="tel:+49301">call</a>', "call (+49301)"),
        ('<a href="https://x.test"><img src="y"></a>', "https://x.test"),
        ('<a href="javascript:steal()">words</a>', "words"),
        ('<a data-href="https://y.test">words</a>', "words"),
        ("<a>words</a>", "words"),
        ('<a href="https://x.test">never closed', "never closed (https://x.test)"),
    ],
)
def test_a_link_keeps_its_address_after_its_words(html: str, text: str) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    "piece", ['<a "', "<!--", "<style>", '<a b="', "&#", "<", '<a href="https://x">', "<title></title"]
)
def test_long_broken_markup_is_read_to_the_end(piece: str) -> None:
    assert storable(from_html(piece * (LONGEST // len(piece))))


def test_entities_in_a_snippet_are_decoded() -> None:
    assert from_entities("You&#39;re free &lt;3 &amp; ready?") == "You're free <3 & ready?"
    assert from_entities("&unknown; &#99999999; &#xD800;") == "&unknown; &#99999999; \ufffd"
    assert from_entities(None) is None


def test_ascii_text_is_not_encoded_to_be_cleaned() -> None:
    assert calls_of(lambda: clean("Schloss Charlottenburg"))["encode"] == 0
    assert calls_of(lambda: clean("Schlo\u00df Charlottenburg"))["encode"] == 1
    assert calls_of(lambda: from_html("Bring the white blanket"))["search"] == 0

"""Text of strangers: whatever they wrote, what comes out can be stored and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.text import LONGEST, clean, from_entities, from_header, from_html, parse_mailbox

ANY_TEXT = st.text(st.characters(), max_size=200)
MARKUP = st.lists(st.sampled_from(["<p>", "</p>", "<![", "<!--", "<?", "&#", "&amp;", "<br", ">", "x", "\0", "\ud800"]))
ENCODED = st.builds(
    "=?{}?{}?{}?=".format, st.sampled_from(["utf-8", "utf-7", "idna", "rot13", "x"]), st.sampled_from("qQbBx"), ANY_TEXT
)


def storable(text: str | None) -> bool:
    if text is None:
        return True
    text.encode()
    return text != "" and "\0" not in text and len(text) <= LONGEST


@given(ANY_TEXT | MARKUP.map("".join) | ENCODED)
def test_any_text_becomes_storable(text: str) -> None:
    assert storable(clean(text))
    assert storable(from_html(text))
    assert storable(from_entities(text))
    assert storable(from_header(text))
    assert all(storable(part) for part in parse_mailbox(text))


def test_text_is_cut_at_its_longest() -> None:
    assert clean("x" * 50_000) == "x" * LONGEST


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (None, None),
        ("", None),
        (" plain\ntext ", "plain\ntext"),
        ("budget < 5000 & flexible", "budget < 5000 & flexible"),
        ("<p>Hello<br>you &amp; me</p><p>second</p>", "Hello\nyou & me\n\nsecond"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        ('<a href="https://x.test">link</a>&nbsp;text', "link text"),
        ("<script>steal()</script>seen", "seen"),
        ("<b></b>", None),
    ],
)
def test_markup_becomes_the_words_in_it(html: str | None, text: str | None) -> None:
    assert from_html(html) == text


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("Ana Ruiz <ana@example.com>", "Ana Ruiz", "ana@example.com"),
        ('"Ruiz, Ana" <ana@example.com>', "Ruiz, Ana", "ana@example.com"),
        ("Ruiz, Ana <ana@example.com>", "Ruiz, Ana", "ana@example.com"),
        ("=?utf-8?Q?Ana_Ru=C3=ADz?= <ana@example.com>", "Ana Ruíz", "ana@example.com"),
        ("=?iso-8859-1?B?SvxyZ2Vu?= <j@example.com>", "Jürgen", "j@example.com"),
        ("=?no-such-charset?Q?J=FCrgen?= <j@example.com>", "Jürgen", "j@example.com"),
        ("ana@example.com", None, "ana@example.com"),
        ("<ana@example.com>", None, "ana@example.com"),
        ("Ana Ruiz", "Ana Ruiz", None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_mailbox_is_a_name_and_an_address(value: str | None, name: str | None, address: str | None) -> None:
    assert parse_mailbox(value) == (name, address)


def test_a_snippet_loses_its_entities() -> None:
    assert from_entities("You&#39;re free &lt;3 &amp; ready?") == "You're free <3 & ready?"
    assert from_entities(None) is None


def test_a_subject_of_several_encoded_words_is_one_text() -> None:
    assert from_header("=?utf-8?Q?Hochzeit_?= =?utf-8?Q?M=C3=BCller?= 2027") == "Hochzeit Müller 2027"

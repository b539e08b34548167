"""Mail headers as people write them: the same names, addresses and subjects on every Python version."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.mail.mailboxes import LONGEST_ADDRESS, from_header, parse_mailbox, parse_mailboxes
from tests.platforms.texts import ANY_TEXT, storable

ENCODED = st.builds(
    "=?{}?{}?{}?=".format,
    st.sampled_from(["utf-8", "utf-7", "idna", "rot13", "unicode_escape", "undefined", "us-ascii", "x"]),
    st.sampled_from("qQbBx"),
    ANY_TEXT,
)
PIECES = ('"', "(", ")", "<", ">", ",", ";", ":", "@", "\\", " ", "\r\n ", "=?utf-8?q?", "?=", "a", "a@b.c", "via", "'")
HEADER = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
NAME = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=40)


@given(ANY_TEXT | ENCODED | HEADER)
def test_any_header_becomes_storable(header: str) -> None:
    assert storable(from_header(header))
    assert "\n" not in (from_header(header) or "")
    for name, address in [parse_mailbox(header), *parse_mailboxes(header)]:
        assert storable(name)
        assert address is None or (re.fullmatch(r"\S.*@\S+", address, re.DOTALL) and len(address) <= LONGEST_ADDRESS)


@given(NAME.map(lambda name: " ".join(name.split())).filter(lambda name: name.strip(" \"',;") == name != ""))
def test_a_quoted_name_round_trips(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    if "=?" not in name:
        assert parse_mailbox(f'"{quoted}" <ana@example.org>') == (name, "ana@example.org")


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("Ana Ruiz <ana@example.com>", "Ana Ruiz", "ana@example.com"),
        ('"Ruiz, Ana" <ana@example.com>', "Ruiz, Ana", "ana@example.com"),
        ("Ruiz, Ana <ana@example.com>", "Ruiz, Ana", "ana@example.com"),
        ("Ana@Home <ana@example.org>", "Ana@Home", "ana@example.org"),
        ('"ana@work.example" <ana@example.org>', "ana@work.example", "ana@example.org"),
        ('"Ana <ana@work.example>" <ana@example.org>', "Ana <ana@work.example>", "ana@example.org"),
        ("<a@b> (Anna)", "Anna", "a@b"),
        ("a@b (Anna (at home))", "Anna (at home)", "a@b"),
        ("Ana (Photography) <ana@example.com>", "Ana (Photography)", "ana@example.com"),
        ('"Ana \\"Nana\\" Ruiz" <ana@example.com>', 'Ana "Nana" Ruiz', "ana@example.com"),
        ("'Anna' via Bookings <bookings@example.com>", "'Anna' via Bookings", "bookings@example.com"),
        ("'ana@example.com' <ana@example.com>", None, "ana@example.com"),
        ('"Ana@Example.com" <ana@example.com>', None, "ana@example.com"),
        ("Ana: the bride <ana@example.com>", "Ana: the bride", "ana@example.com"),
        ("Ana Ruiz ana@example.com", "Ana Ruiz", "ana@example.com"),
        ("ana@example.com", None, "ana@example.com"),
        ("<ana@example.com>", None, "ana@example.com"),
        ('"ana@example.com"', None, "ana@example.com"),
        ("Ana <mailto:ana@example.com>", "Ana", "ana@example.com"),
        ("Ana <@relay.example:ana@example.com>", "Ana", "ana@example.com"),
        ("Ana < ana@example.com >", "Ana", "ana@example.com"),
        ("Ana <<ana@example.com>>", "Ana", "ana@example.com"),
        ("Ana <ana@example.com", "Ana", "ana@example.com"),
        ('"Ana <ana@example.com>', "Ana", "ana@example.com"),
        ("Ana <ana@example.com.>", "Ana", "ana@example.com"),
        ("Jürgen <jürgen@müller.example>", "Jürgen", "jürgen@müller.example"),
        ("Ana <a..na.@docomo.example>", "Ana", "a..na.@docomo.example"),
        ('Ana <"ana ruiz"@example.com>', "Ana", '"ana ruiz"@example.com'),
        ("Ana <ana@[192.0.2.1]>", "Ana", "ana@[192.0.2.1]"),
        ("Ana <ana@example.com>, Ben <ben@example.com>", "Ana", "ana@example.com"),
        ("Couple: ana@example.com, ben@example.com;", None, "ana@example.com"),
        ("Ana <ana at example.com>", "Ana", None),
        ("Ana <ana@@example.com>", "Ana", None),
        ("Ana <ana@example..com>", "Ana", None),
        (f"Ana <{'a' * 250}@example.com>", "Ana", None),
        ("Ana Ruiz", "Ana Ruiz", None),
        ("undisclosed-recipients:;", None, None),
        ("<>", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_mailbox_is_a_name_and_an_address(value: str | None, name: str | None, address: str | None) -> None:
    assert parse_mailbox(value) == (name, address)


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("=?utf-8?Q?Ana_Ru=C3=ADz?= <ana@example.com>", "Ana Ruíz", "ana@example.com"),
        ('"=?utf-8?Q?Ana_Ru=C3=ADz?=" <ana@example.com>', "Ana Ruíz", "ana@example.com"),
        ("=?utf-8?Q?Ruiz=2C_Ana?= <ana@example.com>", "Ruiz, Ana", "ana@example.com"),
        ("=?utf-8?Q?Ruiz, Ana?= <ana@example.com>", "Ruiz, Ana", "ana@example.com"),
        ("=?utf-8?Q?Ana_=28Studio=29?= <ana@example.com>", "Ana (Studio)", "ana@example.com"),
        ("=?utf-8?B?QW5h?=\r\n =?utf-8?B?IFJ1aXo=?= <ana@example.com>", "Ana Ruiz", "ana@example.com"),
        ("Łucja =?utf-8?Q?=C5=81?= <l@example.com>", "Łucja Ł", "l@example.com"),
        ("=?iso-8859-1?B?SvxyZ2Vu?= <j@example.com>", "Jürgen", "j@example.com"),
        ("=?no-such-charset?Q?J=FCrgen?= <j@example.com>", "Jürgen", "j@example.com"),
        ("=?us-ascii?Q?J=C3=BCrgen?= <j@example.com>", "Jürgen", "j@example.com"),
        ("=?utf-8?Q?Ana_=3Cana=40example.com=3E?=", "Ana", "ana@example.com"),
        ("=?utf-8*de?Q?Ana?= <ana@example.com>", "Ana", "ana@example.com"),
    ],
)
def test_an_encoded_name_is_decoded(value: str, name: str, address: str) -> None:
    assert parse_mailbox(value) == (name, address)


def test_a_list_of_mailboxes_is_split() -> None:
    header = 'ana@example.com, "Ruiz, Ben" <ben@example.com>; Novak, Cleo <cleo@example.com>, (nobody), Dora'
    assert parse_mailboxes(header) == [
        (None, "ana@example.com"),
        ("Ruiz, Ben", "ben@example.com"),
        ("Novak, Cleo", "cleo@example.com"),
        ("(nobody), Dora", None),
    ]
    assert parse_mailboxes("Couple: ana@example.com, ben@example.com;")[1] == (None, "ben@example.com")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?Q?Hochzeit_?= =?utf-8?Q?M=C3=BCller?= 2027", "Hochzeit Müller 2027"),
        ("Wedding in\r\n June", "Wedding in June"),
        ("Wedding in\n\tJune", "Wedding in June"),
        ("Wedding\r\n\r\n  in June", "Wedding in June"),
        ("Łódź =?utf-8?Q?=C5=81?= łąka", "Łódź Ł łąka"),
        ("=?utf-8?B?8J+S?= =?utf-8?B?jA==?=", "\N{LOVE LETTER}"),
        ("=?utf-8?B?SGk?=", "Hi"),
        ("=?utf-8?B?!?= there", "=?utf-8?B?!?= there"),
        ("=?utf-8?Q?two=0D=0Alines?=", "two lines"),
        ("=?iso-8859-1?Q?90_=80?=", "90 €"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?utf-8?Q?=FF?=", "\ufffd"),
        ("=?utf-7?Q?+ACY-?=", "+ACY-"),
        ("a \u202eevil\u200f\x07 b", "a evil b"),
        ("=? =?= ?=", "=? =?= ?="),
        ("", None),
        (None, None),
    ],
)
def test_a_header_is_one_line_of_text(value: str | None, text: str | None) -> None:
    assert from_header(value) == text


@pytest.mark.parametrize("piece", ['"\\', "(", "<", '"(', "=?a?b?", "(a", "a@", ",", "a@b,", '"\\"', '\\"', "(\\("])
def test_a_long_broken_header_is_read_to_the_end(piece: str) -> None:
    header = piece * (100_000 // len(piece))
    assert storable(from_header(header))
    assert len(parse_mailboxes(header)) < 2_000

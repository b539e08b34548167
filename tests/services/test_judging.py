"""Whether a conversation is a lead: each rule, in its order, with its reason."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib.platforms.core.records import MessageRecord
from chalicelib.services.leads.candidates import NOTHING_KNOWN, Context, StudioRule
from chalicelib.services.leads.judging import RULES, judge
from chalicelib.services.leads.words import find_date_ahead, read_signs
from tests.services.mails import ANA, NOON, OWN, at, came, form, machine, thread, went

HELLO = "Nice to meet you yesterday"
KNOWN = Context(contacts={ANA: at(-1000)})
ASKED_BEFORE = Context(contacts={ANA: at(-1000)}, inquiries={ANA: at(-1000)})
DIRECT = ("a heart",)
"""Examples of direct messages"""


def verdict(*messages: MessageRecord, context: Context = NOTHING_KNOWN) -> tuple[str, str]:
    found = judge(thread(*messages), context)
    return found.certainty, found.reason


def studio_rule(kind: Any, value: str, verdict: Any) -> Context:
    return Context(rules=[StudioRule(kind, value, verdict)])


def discarded(where: Any) -> MessageRecord:
    return came(0, discarded=where)


EXAMPLES: dict[str, tuple[tuple[str, str], list[MessageRecord], Context]] = {
    "spam": (("not_a_lead", "spam"), [discarded("spam")], NOTHING_KNOWN),
    "trash": (("not_a_lead", "trash"), [discarded("trash")], NOTHING_KNOWN),
    "answers whose question is gone": (
        ("not_a_lead", "nothing_left"),
        [went(0, answered_ids=("<gone@mail.example>",))],
        NOTHING_KNOWN,
    ),
    "a sender marked as none": (
        ("not_a_lead", "marked_by_studio"),
        [form(0)],
        studio_rule("sender", ANA, "not_a_lead"),
    ),
    "a marked machine": (
        ("lead", "marked_by_studio"),
        [machine(0, sender="leads@portal.example")],
        studio_rule("domain", "portal.example", "lead"),
    ),
    "a domain that may be": (
        ("perhaps", "marked_by_studio"),
        [came(0)],
        studio_rule("domain", "example.org", "perhaps"),
    ),
    "a thread of the studio": (("not_a_lead", "started_by_studio"), [went(0), came(1)], NOTHING_KNOWN),
    "a machine": (("not_a_lead", "newsletter"), [machine(0)], NOTHING_KNOWN),
    "a colleague": (("not_a_lead", "own_domain"), [came(0, "lena@studio.example")], NOTHING_KNOWN),
    "a form": (("lead", "form"), [form(0, preview=HELLO)], KNOWN),
    "an offer through a form": (
        ("not_a_lead", "offer"),
        [form(0, preview="We bring photographers to the first page of Google")],
        NOTHING_KNOWN,
    ),
    "a guest of a wedding": (
        ("not_a_lead", "other_job"),
        [came(0, preview="I was a guest at the wedding. Where can I see the pictures?")],
        NOTHING_KNOWN,
    ),
    "a known person with a new date": (
        ("perhaps", "repeat_with_date"),
        [came(0, preview="Our wedding is on 14 June 2027")],
        KNOWN,
    ),
    "a known person who asks for a job": (("perhaps", "repeat"), [came(0)], KNOWN),
    "somebody who has asked before": (("perhaps", "repeat"), [came(0, preview=HELLO)], ASKED_BEFORE),
    "a known person": (("not_a_lead", "known"), [came(0, preview=HELLO)], KNOWN),
    "a heart": (("not_a_lead", "reaction"), [came(0, subject=None, preview="❤️")], NOTHING_KNOWN),
    "two matters at once": (
        ("perhaps", "mixed"),
        [came(0, preview="Our wedding is in June. Do you also offer workshops?")],
        NOTHING_KNOWN,
    ),
    "a word of the trade": (("lead", "trade_word"), [came(0)], NOTHING_KNOWN),
    "a date ahead": (("lead", "trade_word"), [came(0, preview="Is 14 June possible?")], NOTHING_KNOWN),
    "anything else": (("perhaps", "first_contact"), [came(0, preview=HELLO)], NOTHING_KNOWN),
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_conversation_is_judged_with_a_reason(kind: str) -> None:
    expected, messages, context = EXAMPLES[kind]
    found = judge(replace(thread(*messages), channel="instagram_dm" if kind in DIRECT else "email"), context)
    assert (found.certainty, found.reason) == expected


def test_each_rule_decides_an_example() -> None:
    reached = {expected for expected, _, _ in EXAMPLES.values()}
    named = {(rule.certainty, rule.reason) for rule in RULES}
    # The reasons of a machine and of a matter replace these.
    assert named - reached == {("not_a_lead", "machine"), ("not_a_lead", "other_matter")}


def test_contact_after_the_first_message_makes_nobody_known() -> None:
    assert verdict(came(0), context=Context(contacts={ANA: at(1)})) == ("lead", "trade_word")
    assert verdict(came(0), context=Context(contacts={"other@example.org": at(-5)})) == ("lead", "trade_word")


def test_a_known_person_needs_a_word_of_the_trade_and_a_date() -> None:
    assert verdict(came(0, preview="See you on 14 June 2027"), context=KNOWN) == ("not_a_lead", "known")


def test_one_sign_is_not_enough() -> None:
    for text in ("A wedding", "Is this available", "14 June 2027", "Can you call me?"):
        assert verdict(came(0, preview=text)) == ("perhaps", "first_contact"), text


def test_short_messages_make_one_question() -> None:
    parts = [came(0, subject=None, preview="Hello"), came(1, subject=None, preview="How much is a family session?")]
    assert verdict(*parts) == ("lead", "trade_word")
    assert verdict(parts[0], went(0.5), parts[1]) == ("perhaps", "first_contact")


@pytest.mark.parametrize("reaction", ["story", "mention", "share"])
def test_a_reaction_is_no_lead_unless_it_asks_for_a_job(reaction: Any) -> None:
    def judged(text: str) -> tuple[str, str]:
        message = came(0, subject=None, preview=text, reaction=reaction)
        found = judge(replace(thread(message), channel="instagram_dm"), NOTHING_KNOWN)
        return found.certainty, found.reason

    assert judged("So beautiful, where is this?") == ("not_a_lead", "reaction")
    assert judged("How much is a couple shoot?") == ("lead", "trade_word")


def test_the_rule_of_a_sender_comes_before_that_of_its_domain() -> None:
    rules = [StudioRule("domain", "example.org", "not_a_lead"), StudioRule("sender", ANA, "lead")]
    assert verdict(came(0), context=Context(rules=rules)) == ("lead", "marked_by_studio")


def test_a_rule_names_the_person_and_not_the_relay() -> None:
    relay = studio_rule("domain", "relay.example", "not_a_lead")
    assert verdict(form(0), context=relay) == ("lead", "form")


def test_a_verdict_says_what_the_rule_found() -> None:
    assert judge(thread(came(0)), NOTHING_KNOWN).detail == "wedding"
    assert judge(thread(form(0)), NOTHING_KNOWN).detail == "form@relay.example"
    assert judge(thread(came(0, preview="Is 14 June possible?")), NOTHING_KNOWN).detail == "2026-06-14"


def test_a_message_without_an_address_has_no_former_contact() -> None:
    assert verdict(came(0, person_address=None), context=KNOWN) == ("lead", "trade_word")


def test_mail_among_the_studios_own_addresses_is_none() -> None:
    assert verdict(came(0, OWN)) == ("not_a_lead", "own_domain")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Are you available in June?", "available"),
        ("Anfrage fürs Standesamt", "standesamt"),
        ("Haben Sie noch frei?", "noch frei"),
        ("Quel est votre tarif pour un mariage ?", "mariage"),
        ("¿Cuál es el presupuesto?", "presupuesto"),
        ("Ci manda un preventivo?", "preventivo"),
        ("Qual o orçamento?", "orcamento"),
        ("Jaki jest koszt sesji?", "sesji"),
        ("We are getting married and love your pictures", "getting married"),
        ("We are getting married", None),
        ("Wedding fair in the town hall", None),
        ("Your invoice", None),
        ("", None),
    ],
)
def test_an_inquiry_is_found_in_seven_languages(text: str, word: str | None) -> None:
    assert read_signs(text, NOON).inquiry == word


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on 2027-06-12", "2027-06-12"),
        ("am 12.06.2027", "2027-06-12"),
        ("am 12.6.27", "2027-06-12"),
        ("06/28/2027", "2027-06-28"),
        ("June 12, 2027", "2027-06-12"),
        ("the 12th of June", "2026-06-12"),
        ("am 12. Juni", "2026-06-12"),
        ("le 3 mars", "2027-03-03"),
        ("el 12 de junio de 2027", "2027-06-12"),
        ("il 12 giugno 2027", "2027-06-12"),
        ("em junho de 2027", "2027-06"),
        ("in March 2025", None),
        ("on 2026-05-04", None),
        ("on 2036-05-04", None),
        ("31.02.2027", None),
        ("in may we hope", None),
        ("you may 2 times", "2027-05-02"),
        ("no date", None),
    ],
)
def test_a_day_ahead_is_found_as_people_write_it(text: str, day: str | None) -> None:
    assert find_date_ahead(text, NOON) == day


def test_a_date_must_be_ahead_of_the_message_and_not_of_today() -> None:
    assert find_date_ahead("on 2026-05-20", NOON) == "2026-05-20"
    assert find_date_ahead("on 2026-05-20", NOON + timedelta(days=30)) is None

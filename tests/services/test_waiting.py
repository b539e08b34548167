"""Who waits for an answer: what asks, what answers, and what does neither."""

from datetime import datetime

import pytest

from chalicelib.platforms.core.records import MessageRecord
from chalicelib.services.leads.thanks import only_thanks
from chalicelib.services.leads.waiting import NO_MARKS, Marks, first_response, turns_of, waiting_since
from tests.services.mails import ANA, BEN, at, came, machine, thread, went


def waits(*messages: MessageRecord, marks: Marks = NO_MARKS) -> datetime | None:
    first = next(message for message in messages if message.direction == "in" and message.kind in ("person", "relay"))
    return waiting_since(turns_of(thread(*messages), first), marks)


def responded(*messages: MessageRecord, marks: Marks = NO_MARKS) -> datetime | None:
    first = next(message for message in messages if message.direction == "in")
    return first_response(turns_of(thread(*messages), first), first.sent_at, marks)


def test_a_question_waits_until_it_is_answered() -> None:
    assert waits(came(0)) == at(0)
    assert waits(came(0), went(2)) is None
    assert responded(came(0)) is None
    assert responded(came(0), went(2), went(5)) == at(2)


def test_a_second_question_waits_as_well() -> None:
    assert waits(came(0), went(2), came(3, preview="And the price?"), came(9, preview="Hello?")) == at(3)


def test_thanks_do_not_wait_and_do_not_answer() -> None:
    assert waits(came(0), went(2), came(3, preview="Thank you, perfect!")) is None
    assert waits(came(0), came(3, preview="Thank you, perfect!")) == at(0)


def test_the_first_message_waits_even_if_it_only_thanks() -> None:
    assert waits(came(0, preview="Thank you!")) == at(0)


@pytest.mark.parametrize("kind", ["machine", "auto_reply"])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_machine_neither_asks_nor_answers(kind: str, direction: str) -> None:
    message = came(1, kind=kind) if direction == "in" else went(1, kind=kind)
    assert waits(came(0), message) == at(0)
    assert waits(came(0), went(0.5), message) is None


def test_mail_to_a_colleague_is_no_answer() -> None:
    assert waits(came(0), went(1, to="second@shooter.example")) == at(0)
    assert waits(came(0), went(1, to="second@shooter.example", recipients=("x@y.example", ANA))) is None


def test_an_answer_to_a_relay_that_names_nobody_counts() -> None:
    portal = came(0, "portal@relay.example", kind="relay", person_address=None)
    assert waits(portal, went(1, to="reply-1@relay.example")) is None


def test_an_older_mail_that_arrives_late_does_not_wait() -> None:
    assert waits(came(0), came(1), went(2)) is None


def test_spam_in_a_thread_asks_nothing() -> None:
    assert waits(came(0), went(1), came(2, BEN, discarded="spam")) is None
    assert waits(came(0), went(1), came(2, discarded="trash")) == at(2)


def test_marks_of_the_studio_settle_what_came_before() -> None:
    assert waits(came(0), marks=Marks(answered_at=at(1))) is None
    assert waits(came(0), marks=Marks(no_answer_needed_at=at(1))) is None
    assert waits(came(0), came(2), marks=Marks(no_answer_needed_at=at(1))) == at(2)
    assert responded(came(0), marks=Marks(answered_at=at(1))) == at(1)
    assert responded(came(0), marks=Marks(no_answer_needed_at=at(1))) is None


def test_a_newsletter_asks_nothing() -> None:
    assert waits(came(0), went(1), machine(2)) is None


@pytest.mark.parametrize(
    "text",
    [
        "Thank you, perfect!",
        "Hi! Thanks so much for the quick reply, that sounds great. Ana",
        "ok",
        "Vielen Dank, das klingt gut! Liebe Grüße Ana Ruiz",
        "Danke schön, alles klar 😊",
        "Merci beaucoup, c'est parfait !",
        "¡Muchas gracias! Perfecto",
        "Grazie mille, va bene",
        "Muito obrigada, combinado! Um abraço",
        "Thank you! On Tue, 3 Nov 2026 at 10:00, Studio <hello@studio.example> wrote: Are you free?",
        "They are wonderful, thank you!",
    ],
)
def test_mere_thanks_are_recognized_in_six_languages(text: str) -> None:
    assert only_thanks(text, "Ana Ruiz")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Ana",
        "Dear Ana",
        "Thank you! Could we meet?",
        "Thanks, see you at 5",
        "Thank you, we would also like an album",
        "Danke, wir brauchen noch einen Vertrag",
        "That sounds great, Thursday works.",
        "Thank you but no",
        "Thanks " * 60,
        "On Tue, 3 Nov 2026 at 10:00, Studio wrote: thank you",
    ],
)
def test_anything_more_than_thanks_waits(text: str | None) -> None:
    assert not only_thanks(text, "Ana Ruiz")

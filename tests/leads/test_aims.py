"""How well the corpora are judged: the aims, on the committed files and on others drawn from the same seeds."""

from functools import cache

import pytest

from tests.leads.corpora.generate import CORPORA
from tests.leads.corpus import Corpus
from tests.leads.measure import Measured
from tests.leads.report import DOCUMENT, HEADING, mistakes, section, written

CHANCE = "another draw"


@cache
def measured(name: str, chance: str) -> Measured:
    return Measured(Corpus.drawn_again(name, chance) if chance else Corpus.committed(name))


@pytest.mark.parametrize("chance", ["", CHANCE], ids=["committed", "drawn again"])
@pytest.mark.parametrize("name", CORPORA)
class TestAims:
    def test_leads_are_found_and_few_others_are_taken_for_one(self, name: str, chance: str) -> None:
        found = measured(name, chance)
        assert found.precision.value >= 0.95, found.wrong
        assert found.recall.value >= 0.98, found.wrong

    def test_few_conversations_are_left_open(self, name: str, chance: str) -> None:
        assert measured(name, chance).perhaps.value <= 0.1

    def test_the_waiting_list_is_true_and_misses_nobody(self, name: str, chance: str) -> None:
        found = measured(name, chance)
        wrong = list(mistakes(found))
        assert found.waiting_precision.value >= 0.95, wrong
        assert [each.missed for each in found.waiting] == [[]] * 10, wrong

    def test_bookings_are_found_and_little_else_is_taken_for_one(self, name: str, chance: str) -> None:
        bookings = measured(name, chance).bookings
        assert bookings.precision.value >= 0.98, bookings.wrong
        assert bookings.recall.value >= 0.99, bookings.missed


def test_another_draw_has_other_names_and_the_same_labels() -> None:
    one, other = Corpus.committed("berlin"), Corpus.drawn_again("berlin", CHANCE)
    assert one.lines("mails") != other.lines("mails")
    assert {label["reason"] for label in one.labels} >= {label["reason"] for label in other.labels}


def test_the_document_has_these_figures() -> None:
    text = DOCUMENT.read_text("utf-8")
    made = section({name: measured(name, "") for name in CORPORA})
    assert text == written(text, made), "`python -m tests.leads.report --write` writes it"
    assert text.count(HEADING) == 1

"""Prints how well the corpora are judged, or writes it into docs/leads.md: `python -m tests.leads.report --help`."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from tests.leads.corpora.generate import CORPORA
from tests.leads.corpus import Corpus
from tests.leads.measure import LABELS, Measured

DOCUMENT = Path(__file__).parents[2] / "docs/leads.md"
HEADING = "## How well it judges"
INTRODUCTION = """
Two labelled corpora (`tests/leads/corpora`), each of 1,500 mails, 300 direct messages and 400 calendar events of 90
days, were written before any rule. The product's own code reads and judges them: mail as Gmail answers it, and with
what the studio knew before. `.venv/bin/python -m tests.leads.report --write` measures them and writes this section.
Tests compare it and hold the aims, also with other names, days and texts drawn from the same seeds. The figures are
of texts whose authors' words were seen when the rules were tuned: expect less of a new mailbox.

| | aim |
|---|---|
| leads | precision at least 0.95, recall at least 0.98; a lead that is one perhaps counts half |
| perhaps | at most 10 % of all conversations |
| waiting list, at ten moments | precision at least 0.95, nobody missing who waits for more than a day |
| bookings | precision at least 0.98, recall at least 0.99 |
"""
NAMES = {"lead": "lead", "perhaps": "perhaps", "not_a_lead": "no lead"}


def summary(measured: Measured) -> Iterable[str]:
    missed = sum(len(each.missed) for each in measured.waiting)
    yield f"leads: precision {measured.precision}, recall {measured.recall}"
    yield f"perhaps: {measured.perhaps}"
    yield f"waiting list: precision {measured.waiting_precision}, missing for more than a day: {missed}"
    yield f"bookings: precision {measured.bookings.precision}, recall {measured.bookings.recall}"


def mistakes(measured: Measured) -> Iterable[str]:
    yield from measured.wrong
    for each in measured.waiting:
        yield from (f"waiting at {each.at}, wrongly: {key}" for key in each.wrong)
        yield from (f"waiting at {each.at}, missing: {key}" for key in each.missed)
    yield from (f"booked, wrongly: {each}" for each in measured.bookings.wrong)
    yield from (f"not booked: {each}" for each in measured.bookings.missed)


def kinds(measured: Measured) -> Iterable[str]:
    """Each kind of conversation with its verdicts."""
    for label in LABELS:
        for kind in sorted({kind for labelled, kind, _ in measured.by_kind if labelled == label}):
            counts = [f"{NAMES[verdict]} {measured.by_kind[label, kind, verdict]}" for verdict in LABELS]
            yield f"{NAMES[label]} | {kind}: {', '.join(counts)}"


def section(all_measured: dict[str, Measured]) -> str:
    """The section of the document."""
    parts = [HEADING, INTRODUCTION.strip()]
    for name, measured in all_measured.items():
        parts.append(f"**{name}**")
        parts.append("\n".join(confusion_table(measured)))
        parts.append("\n".join(f"- {line}" for line in (*summary(measured), *remaining(measured))))
    return "\n\n".join(parts) + "\n"


def confusion_table(measured: Measured) -> Iterable[str]:
    yield "| labelled | judged a lead | perhaps | no lead |"
    yield "|---|---|---|---|"
    for label in LABELS:
        counts = (str(measured.confusion[label, verdict]) for verdict in LABELS)
        yield f"| {NAMES[label]} | {' | '.join(counts)} |"


def remaining(measured: Measured) -> Iterable[str]:
    """What is still wrong, without the ids."""
    wrong = [each.partition(" ")[2] for each in (*measured.wrong, *measured.bookings.wrong, *measured.bookings.missed)]
    if wrong:
        yield "wrong: " + "; ".join(sorted({each.partition(": ")[2].rstrip(".") for each in wrong}))


def written(text: str, part: str) -> str:
    """The document with this section at its end."""
    return text.partition(HEADING)[0].rstrip() + "\n\n" + part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", nargs="*", metavar="corpus", help="berlin or texas; by default both")
    parser.add_argument("--chance", help="draw other names, days and texts by this word")
    parser.add_argument("--wrong", action="store_true", help="list what is judged wrong as well")
    parser.add_argument("--kinds", action="store_true", help="list the verdicts by kind of conversation as well")
    parser.add_argument("--write", action="store_true", help=f"write the section of {DOCUMENT.name}")
    given = parser.parse_args()
    if given.write:
        part = section({name: Measured(Corpus.committed(name)) for name in CORPORA})
        DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8"), part), "utf-8")
        return
    for name in given.corpora or CORPORA:
        measured = Measured(Corpus.drawn_again(name, given.chance) if given.chance else Corpus.committed(name))
        listed = (*(kinds(measured) if given.kinds else ()), *(mistakes(measured) if given.wrong else ()))
        print(name, *summary(measured), *listed, sep="\n")


if __name__ == "__main__":
    main()

"""The labelled corpora are what their seeds make, complete and consistent."""

import gzip
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.leads.corpora.clock import DAYS
from tests.leads.corpora.generate import CORPORA, DIRECT_MESSAGES, EVENTS, FOLDER, MAILS, corpus_files
from tests.leads.corpora.seeds import read_seeds

LARGEST = 1_500_000
"""Bytes of a corpus, at most."""


@cache
def committed(corpus: str) -> dict[str, str]:
    paths = sorted((FOLDER / corpus).glob("*.jsonl.gz"))
    return {path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes()).decode() for path in paths}


def rows(corpus: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in committed(corpus)[f"{name}.jsonl"].splitlines()]


def studio(corpus: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / corpus / "studio.json").read_text("utf-8"))
    return read


def mails(corpus: str) -> list[dict[str, Any]]:
    return [message for thread in rows(corpus, "mails") for message in thread["messages"]]


def direct_messages(corpus: str) -> list[dict[str, Any]]:
    return [message for thread in rows(corpus, "direct") for message in thread["messages"]["data"]]


def sent_at(mail: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(mail["internalDate"]) / 1000, UTC)


def is_by_a_person(mail: dict[str, Any]) -> bool:
    """To the other side: neither a machine's reply nor a forward."""
    fields = {header["name"]: header["value"] for header in mail["payload"]["headers"]}
    return fields.get("Auto-Submitted") != "auto-replied" and not fields.get("Subject", "").startswith("Fwd: ")


@pytest.mark.parametrize("corpus", CORPORA)
class TestCorpus:
    def test_equals_what_the_generator_makes(self, corpus: str) -> None:
        made = corpus_files(corpus)
        assert made.keys() == committed(corpus).keys()
        assert [name for name, text in made.items() if text != committed(corpus)[name]] == []

    def test_has_the_promised_counts(self, corpus: str) -> None:
        counts = len(mails(corpus)), len(direct_messages(corpus)), len(rows(corpus, "events"))
        assert counts == (MAILS, DIRECT_MESSAGES, EVENTS)

    def test_is_small(self, corpus: str) -> None:
        assert sum(path.stat().st_size for path in (FOLDER / corpus).iterdir()) < LARGEST

    def test_was_written_from_many_texts(self, corpus: str) -> None:
        texts = {
            name: {line.text for seed in read_seeds(FOLDER / corpus / f"{name}.txt") for line in seed.lines}
            for name in ("mails", "direct", "events")
        }
        assert len(texts["mails"]) >= 250
        assert len(texts["direct"]) >= 80
        assert len(texts["events"]) >= 100

    def test_every_message_belongs_to_one_conversation_with_one_label(self, corpus: str) -> None:
        labels = rows(corpus, "labels")
        listed = Counter(message for label in labels for message in label["messages"])
        there = {message["id"] for message in (*mails(corpus), *direct_messages(corpus))}
        assert set(listed) == there
        assert set(listed.values()) == {1}
        assert len({label["conversation"] for label in labels}) == len(labels)
        assert {label["label"] for label in labels} == {"lead", "perhaps", "not_a_lead"}
        assert all(label["reason"] and label["kind"] for label in labels)

    def test_ids_are_unique(self, corpus: str) -> None:
        threads = [thread["id"] for name in ("mails", "direct") for thread in rows(corpus, name)]
        messages = [message["id"] for message in (*mails(corpus), *direct_messages(corpus))]
        events = [row["event"]["id"] for row in rows(corpus, "events")]
        assert [len(set(ids)) for ids in (threads, messages, events)] == [len(threads), len(messages), len(events)]

    def test_a_thread_has_the_id_of_its_oldest_message(self, corpus: str) -> None:
        for thread in rows(corpus, "mails"):
            times = [int(message["internalDate"]) for message in thread["messages"]]
            assert times == sorted(times)
            assert thread["id"] == thread["messages"][0]["id"]
            assert {message["threadId"] for message in thread["messages"]} == {thread["id"]}

    def test_all_is_sent_within_the_ninety_days(self, corpus: str) -> None:
        zone = ZoneInfo(studio(corpus)["timeZone"])
        first = date.fromisoformat(studio(corpus)["firstDay"])
        times = [sent_at(mail) for mail in mails(corpus)]
        times += [datetime.fromisoformat(message["created_time"]) for message in direct_messages(corpus)]
        days = {at.astimezone(zone).date() for at in times}
        assert min(days) >= first
        assert max(days) <= first + timedelta(days=DAYS - 1)
        assert len(days) == DAYS

    def test_the_shares_are_those_of_a_real_mailbox(self, corpus: str) -> None:
        labels = rows(corpus, "labels")
        mailed = Counter(label["label"] for label in labels if label["source"] == "mail")
        assert 0.04 <= mailed["lead"] / mailed.total() <= 0.06
        assert Counter(label["label"] for label in labels)["perhaps"] / len(labels) < 0.1

    def test_every_event_has_one_label_and_every_booking_a_job(self, corpus: str) -> None:
        labels = rows(corpus, "event_labels")
        assert [label["event"] for label in labels] == [row["event"]["id"] for row in rows(corpus, "events")]
        assert all(("job" in label) == (label["label"] == "booking") for label in labels)
        assert {label["label"] for label in labels} == {"booking", "not_a_booking"}

    def test_a_copy_has_the_ical_uid_and_the_job_of_its_original(self, corpus: str) -> None:
        events = {row["event"]["id"]: row["event"] for row in rows(corpus, "events")}
        labels = {label["event"]: label for label in rows(corpus, "event_labels")}
        copies = [label for label in labels.values() if "copyOf" in label]
        assert copies
        for label in copies:
            assert events[label["event"]]["iCalUID"] == events[label["copyOf"]]["iCalUID"]
            assert label["job"] == labels[label["copyOf"]]["job"]
            assert label["calendar"] != labels[label["copyOf"]]["calendar"]

    def test_who_waits_is_known_at_ten_moments(self, corpus: str) -> None:
        labels = {label["conversation"]: label["label"] for label in rows(corpus, "labels")}
        moments = rows(corpus, "waiting")
        assert len(moments) == 10
        assert sum(len(moment["lead"]) for moment in moments) >= 30
        for moment in moments:
            for label in ("lead", "perhaps", "not_a_lead"):
                assert {labels[conversation] for conversation in moment[label]} <= {label}

    def test_nobody_waits_who_was_answered_last(self, corpus: str) -> None:
        labels = {label["conversation"]: label for label in rows(corpus, "labels")}
        by_id = {mail["id"]: mail for mail in mails(corpus)}
        for moment in rows(corpus, "waiting"):
            at = datetime.fromisoformat(moment["at"])
            for conversation in moment["lead"]:
                sent = [by_id[each] for each in labels[conversation]["messages"] if each in by_id]
                before = [mail for mail in sent if sent_at(mail) <= at and is_by_a_person(mail)]
                assert not before or "INBOX" in before[-1]["labelIds"]

    def test_only_relays_and_companies_have_real_domains(self, corpus: str) -> None:
        people = [person["email"] for person in rows(corpus, "people")]
        assert all(address.endswith(".example") for address in people)
        assert len(set(people)) == len(people)

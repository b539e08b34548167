"""Whether a conversation is a lead: one ordered table of rules, each with its reason."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from chalicelib.platforms.core.items import Skipped
from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.services.leads.candidates import Candidate, Certainty, Context, is_of_person, is_of_studio
from chalicelib.services.leads.matters import OFFER

NOTHING_LEFT = "nothing_left"
"""The person's own messages are gone and only answers remain: what is stored stays as it is."""
STARTED_BY_STUDIO = "started_by_studio"
REPEAT, REPEAT_WITH_DATE = "repeat", "repeat_with_date"
REPEATS = frozenset({REPEAT, REPEAT_WITH_DATE})
"""Of people whom the studio knows, and who ask for a job"""
MARKED = "marked_by_studio"
KNOWN = "known"
"""Somebody whom the studio knows, without a new job: part of what was begun before"""
OTHER_MATTER = "other_matter"
CONTINUING = frozenset({STARTED_BY_STUDIO, KNOWN})
"""Of threads that begin nothing but may continue a lead of the same person"""


class Verdict(msgspec.Struct, frozen=True):
    """What a conversation is, and why."""

    certainty: Certainty
    reason: str
    detail: str | None = None
    """What the rule found, such as a word; it may hold the person's own words"""
    first: MessageRecord | None = None
    """The message that began a lead"""

    @property
    def is_stored(self) -> bool:
        return self.certainty != "not_a_lead"


Finding = str | bool | None
"""Whether a rule holds; a text says what it found."""


class LeadRule(msgspec.Struct, frozen=True):
    certainty: Certainty
    reason: str
    holds: Callable[[Candidate], Finding]


def _marked(verdict: Certainty) -> Callable[[Candidate], Finding]:
    def holds(candidate: Candidate) -> Finding:
        rule = candidate.studio_rule
        return rule.value if rule is not None and rule.verdict == verdict else None

    return holds


def _all_discarded(where: str) -> Callable[[Candidate], Finding]:
    def holds(candidate: Candidate) -> Finding:
        messages = candidate.messages
        return bool(messages) and all(each.discarded for each in messages) and messages[0].discarded == where

    return holds


def _machine(candidate: Candidate) -> Finding:
    return candidate.first is None


def _through_form(candidate: Candidate) -> Finding:
    first = candidate.first
    return (first.sender_address or True) if first is not None and first.kind == "relay" else None


def _repeat_with_date(candidate: Candidate) -> Finding:
    signs = candidate.signs
    named = signs.kind or signs.occasion or (signs.asking and signs.weak) or (signs.asking and signs.is_question)
    if not (candidate.has_earlier_contact and named and signs.date):
        return None
    return f"{named}, {signs.date}"


def _repeat(candidate: Candidate) -> Finding:
    if not candidate.has_earlier_contact:
        return None
    return candidate.signs.inquiry or candidate.has_asked_before


def _other_matter(candidate: Candidate) -> Finding:
    """Whoever also writes of a day of their own may want both."""
    if candidate.matter is None or (candidate.signs.occasion and candidate.signs.inquiry):
        return None
    matter, word = candidate.matter
    return word if matter.reason == OFFER or not _through_form(candidate) else None


def _mixed_matter(candidate: Candidate) -> Finding:
    matter = candidate.matter or candidate.unsure_matter
    return matter[1] if matter else None


def _mere_reaction(candidate: Candidate) -> Finding:
    if not candidate.is_direct:
        return None
    return candidate.says_nothing or (candidate.is_reaction and candidate.signs.inquiry is None)


RULES = (
    # What cannot be judged: the person's messages are not there, or are not to be read.
    LeadRule("not_a_lead", "spam", _all_discarded("spam")),
    LeadRule("not_a_lead", "trash", _all_discarded("trash")),
    LeadRule("not_a_lead", NOTHING_LEFT, lambda each: each.first is None and each.is_answer_to_nothing),
    # What the studio decided.
    LeadRule("not_a_lead", MARKED, _marked("not_a_lead")),
    LeadRule("lead", MARKED, _marked("lead")),
    LeadRule("perhaps", MARKED, _marked("perhaps")),
    # What is none.
    LeadRule("not_a_lead", STARTED_BY_STUDIO, lambda each: each.is_begun_by_studio),
    LeadRule("not_a_lead", "machine", _machine),
    LeadRule("not_a_lead", "own_domain", lambda each: each.is_of_own_domain),
    LeadRule("not_a_lead", OTHER_MATTER, _other_matter),
    # What is one.
    LeadRule("lead", "form", _through_form),
    # Known people: most of their mail is about what was agreed before.
    LeadRule("perhaps", REPEAT_WITH_DATE, _repeat_with_date),
    LeadRule("perhaps", REPEAT, _repeat),
    LeadRule("not_a_lead", KNOWN, lambda each: each.has_earlier_contact),
    # First contacts.
    LeadRule("not_a_lead", "reaction", _mere_reaction),
    LeadRule("perhaps", "mixed", _mixed_matter),
    LeadRule("lead", "trade_word", lambda each: each.signs.inquiry),
    LeadRule("perhaps", "first_contact", lambda each: True),
)
"""In this order: the first rule that holds decides."""

BY_CONTACT = frozenset({*REPEATS, "trade_word", "mixed", "first_contact"})
"""Reasons that depend on whether there was contact before: older mail that is read later may change them."""


def judge(thread: ThreadRecord, context: Context) -> Verdict:
    candidate = Candidate(thread, context)
    for rule in RULES:
        if found := rule.holds(candidate):
            detail = found if isinstance(found, str) else None
            first = candidate.first_in if rule.certainty != "not_a_lead" or rule.reason == KNOWN else None
            return Verdict(rule.certainty, _reason(rule, candidate), detail, first)
    raise AssertionError("the last rule always holds")


def _reason(rule: LeadRule, candidate: Candidate) -> str:
    """A machine's own kind says more than that it is one."""
    if rule.holds is _machine and candidate.first_in is not None:
        return candidate.first_in.reason or rule.reason
    if rule.holds is _other_matter and candidate.matter is not None:
        return candidate.matter[0].reason
    return rule.reason


def leave_out(thread: ThreadRecord, verdict: Verdict) -> Skipped:
    """What is kept of a thread that is not a lead. Its times tell whether a person whom the studio wrote to waits, so
    only a machine's thread has the times of machines."""
    began = verdict.reason == STARTED_BY_STUDIO
    came = [each for each in thread.messages if each.direction == "in"]
    arrivals = [each.sent_at for each in came if is_of_person(each) or not began]
    answers = [each.sent_at for each in thread.messages if is_of_studio(each)]
    others = [each.person_address or each.sender_address for each in came]
    others += [address for each in thread.messages if each.direction == "out" for address in each.recipients]
    return Skipped(
        external_id=thread.external_id,
        reason=verdict.reason,
        counterpart=next(filter(None, others), None),
        first_in_at=_first(arrivals),
        last_in_at=_last(arrivals),
        first_out_at=_first(answers),
        last_out_at=_last(answers),
    )


def _first(times: list[datetime]) -> datetime | None:
    return min(times, default=None)


def _last(times: list[datetime]) -> datetime | None:
    return max(times, default=None)

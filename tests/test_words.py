"""The vocabulary: a word that was abandoned for a standard term stays out of code, tests and documents."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

GIVEN_UP = {
    "doorbell": "work queue",
    "ring_at": "enqueue_at",
    "(rung|rings? again|rings for)": "enqueued, re-enqueues",
    "(bells?|Bells?)": "dispatch",
    "(open_doors|ansel_door|door\\.[a-z])": "cross-tenant function",
    "(gate_of|gates_of|Gate|Gates|GateState)": "throttle",
    "(renew|renews|renewed|renewing|renewal|renewals)": "refresh, or reconnect",
    "(ask_consent|finish_consent|ConsentRefused|consent_(invalid|denied|failed))": "authorization",
    "(break_connection|HEAL_CONNECTION|healed|heals)": "fail, recover",
    "(api/notices|AccountNotice|notices\\.py)": "webhooks",
    "(SealBroken|seal_broken)": "DecryptionFailed",
    "(SURVEY|SurveyedKey|RESTED)": "names of key rotation",
    "((?<!_)in_time\\(|runtime\\.edge)": "deadline, invocation",
    "(Caveat|REFUSALS|classify_refusal)": "warning, error rules",
    "(KeptAnswer|KEEP_ANSWER)": "stored response",
    "(Loan|lend|lent|Exhausted)": "checkout, pool timeout",
    "(Unsent|Traffic)\\b(?! to)": "not sent, query statistics",
    "(set_patience|was_ended|patience_seconds)": "socket timeout, closed by server, wait",
    "(_pulse|_hand_over|HAND_OVER_MS|idle_attempts)": "heartbeat, yield, attempts without progress",
    "(BELIEVED_ROWS|BELIEVED_SHARE|DERIVED)": "unconfirmed deletion limits, computed",
    "anew": "again",
    "(crew|nursery|jumble|postbox|stopwatch|contenders?|levers?)": "worker pool, fork server, shuffle, null queue, ...",
    "(puts? aside|hand-overs?|hands over|gives? back|in pipeline)": "rotate, yield, revoke, in flight",
    "(There is no such thing|The request has wrong values|do not open any more)": "see docs/conventions.md",
}
"""Each is a regular expression of whole words, with its replacement."""
WHERE_THEY_MEAN_SOMETHING_ELSE = {
    "chalicelib/platforms/core/trade_words.py": "a vow renewal",
    "tests/test_words.py": "this list",
}
PATTERNS = {re.compile(rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])"): better for word, better in GIVEN_UP.items()}
ADDRESS = re.compile(r"https?://\S+")
NOT_OURS = re.compile(
    r"requirements.*|docs/licences\.md|tests/platforms/payloads/.*|tests/leads/corpora/[a-z]+/.*|LICENSE"
)


def given_up_words(text: str) -> list[tuple[int, str, str]]:
    """The line, the word found there, and its replacement. Addresses are other people's words."""
    return [
        (number, match[0], better)
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, better in PATTERNS.items()
        if (match := pattern.search(ADDRESS.sub("", line)))
    ]


def _sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    paths = [
        ROOT / name for name in listed if not NOT_OURS.fullmatch(name) and name not in WHERE_THEY_MEAN_SOMETHING_ELSE
    ]
    return [path for path in paths if path.is_file() and path.suffix not in (".png", ".ico", ".zip")]


def test_no_abandoned_word_comes_back() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {word} -> {better}"
        for path in _sources()
        for line, word, better in given_up_words(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line", ["rows.ring_at = now()", "def renewal(self)", "the token was renewed", "x = HAND_OVER_MS"]
)
def test_an_abandoned_word_is_found(line: str) -> None:
    assert given_up_words(line)


@pytest.mark.parametrize(
    "line",
    [
        "a string",
        "API Gateway",
        "enqueue_at",
        "calendar",
        "the traffic to the internet",
        "<https://example.com/renewal>",
    ],
)
def test_a_word_or_address_that_only_contains_one_is_ignored(line: str) -> None:
    assert not given_up_words(line)

"""When to retry, in every format that platforms use."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.core.faults import retry_after

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", NOW),
        (" 30 ", datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 10:05:00 GMT", datetime(2026, 11, 22, 10, 5, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 10:05:00 -0000", datetime(2026, 11, 22, 10, 5, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 12:05:00 +0200", datetime(2026, 11, 22, 10, 5, tzinfo=UTC)),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("99999999999999999999", None),
    ],
)
def test_a_retry_after_header_is_a_time_or_none(value: str, expected: datetime | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == expected


def test_without_the_header_there_is_no_time() -> None:
    assert retry_after({}, NOW) is None


@given(st.text(max_size=60))
def test_any_header_is_an_aware_time_or_none(value: str) -> None:
    moment = retry_after({"retry-after": value}, NOW)
    assert moment is None or moment.utcoffset() is not None

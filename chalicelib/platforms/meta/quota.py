"""Meta's usage headers: JSON in a header, percentages that may exceed 100, and no header if nothing was used yet.

developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from chalicelib.platforms.core.quota import Usage

Percent = Annotated[float, Meta(ge=0, le=1e6)]
Wait = Annotated[float, Meta(ge=0, le=1e6)]

HeaderT = TypeVar("HeaderT")


class Calls(msgspec.Struct, frozen=True):
    """X-App-Usage, and each entry of X-Business-Use-Case-Usage; only the latter says how many minutes to wait."""

    call_count: Percent | None = None
    total_time: Percent | None = None
    total_cputime: Percent | None = None
    estimated_time_to_regain_access: Wait = 0

    @property
    def used(self) -> float | None:
        """A time to wait means that nothing is left, whatever the percentages say."""
        percents = [self.call_count, self.total_time, self.total_cputime]
        shares = [percent / 100 for percent in percents if percent is not None]
        return max([*shares, *([1] if self.estimated_time_to_regain_access else [])], default=None)


class AdAccountUsage(msgspec.Struct, frozen=True):
    """X-Ad-Account-Usage; its window resets after this many seconds."""

    acc_id_util_pct: Percent | None = None
    reset_time_duration: Wait = 0


class Throttle(msgspec.Struct, frozen=True):
    """x-fb-ads-insights-throttle."""

    app_id_util_pct: Percent | None = None
    acc_id_util_pct: Percent | None = None


def usage(headers: Mapping[str, str], now: datetime) -> list[Usage]:
    """The usage that a response's headers (lower-case names) report for each scope: its tightest quota."""
    tightest = {each.scope: each for each in sorted(_every(headers, now), key=lambda each: each.used)}
    return list(tightest.values())


def regained_at(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the last of the exhausted quotas resets, if Meta says."""
    return max((each.resets_at for each in _every(headers, now) if each.resets_at and each.used >= 1), default=None)


def _every(headers: Mapping[str, str], now: datetime) -> list[Usage]:
    """Entries that say when they reset come last. Malformed headers are ignored."""
    return [*_app(headers), *_throttle(headers), *_ad_account(headers, now), *_business(headers, now)]


def _app(headers: Mapping[str, str]) -> Iterator[Usage]:
    calls = _read(headers, "x-app-usage", Calls)
    if calls and calls.used is not None:
        yield Usage("app", calls.used)


def _business(headers: Mapping[str, str], now: datetime) -> Iterator[Usage]:
    cases = _read(headers, "x-business-use-case-usage", dict[str, list[Calls]]) or {}
    for calls in (each for entries in cases.values() for each in entries):
        minutes = calls.estimated_time_to_regain_access
        if calls.used is not None:
            yield Usage("account", calls.used, now + timedelta(minutes=minutes) if minutes else None)


def _ad_account(headers: Mapping[str, str], now: datetime) -> Iterator[Usage]:
    account = _read(headers, "x-ad-account-usage", AdAccountUsage)
    if account and account.acc_id_util_pct is not None:
        seconds = account.reset_time_duration
        yield Usage("account", account.acc_id_util_pct / 100, now + timedelta(seconds=seconds) if seconds else None)


def _throttle(headers: Mapping[str, str]) -> Iterator[Usage]:
    throttle = _read(headers, "x-fb-ads-insights-throttle", Throttle) or Throttle()
    if throttle.app_id_util_pct is not None:
        yield Usage("app", throttle.app_id_util_pct / 100)
    if throttle.acc_id_util_pct is not None:
        yield Usage("account", throttle.acc_id_util_pct / 100)


def _read(headers: Mapping[str, str], name: str, into: type[HeaderT]) -> HeaderT | None:
    try:
        return msgspec.json.decode(headers.get(name, ""), type=into)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None

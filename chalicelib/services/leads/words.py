"""What a message says: whether it asks for a job of the trade, and which day it names."""

import re
from datetime import date, datetime, timedelta

import msgspec

from chalicelib.platforms.core.titles import find_job_word, find_perhaps_word, fold
from chalicelib.services.leads.inquiring import ASKING, OCCASIONS, POLISH, WEAK, find, has_question

_MONTHS = """
    jan january januar janvier enero gennaio janeiro janner jaenner ene gen, feb february februar fevrier febrero
    febbraio fevereiro fev, mar march marz maerz mars marzo marco, apr april avril abril aprile abr, may mai mayo
    maggio maio mag, jun june juni juin junio giugno junho giu, jul july juli juillet julio luglio julho lug, aug
    august aout agosto ago, sep sept september septembre septiembre settembre setembro set, oct october oktober octobre
    octubre ottobre outubro okt ott out, nov november novembre noviembre novembro, dec december dezember decembre
    diciembre dicembre dezembro dez dic
"""
_MONTH_OF = {name: number for number, names in enumerate(_MONTHS.split(","), 1) for name in names.split()}
_NAMED = "|".join(sorted(_MONTH_OF, key=len, reverse=True))
_LINKING = r"(?:st|nd|rd|th|er)?(?: (?:of|de|di))?"
_WRITTEN = re.compile(
    rf" (?:(?P<day>[0-3]?\d){_LINKING} )?(?P<month>{_NAMED})(?: (?P<late>[0-3]?\d)(?:st|nd|rd|th)?)?"
    r"(?: (?:de |of )?(?P<year>20\d\d))?(?= )"
)
_ISO = re.compile(r"(?<!\d)(20\d\d)-([01]\d)-([0-3]\d)(?!\d)")
_DOTTED = re.compile(r"(?<![\d.])([0-3]?\d)[./-]([0-3]?\d)[./-](20\d\d|\d\d)(?!\d)")
FURTHEST = timedelta(days=1200)
"""Weddings are planned at most about three years ahead."""


class Signs(msgspec.Struct, frozen=True):
    """The signs of an inquiry in a text, each by the word that was found."""

    kind: str | None
    """A word that names a job of the trade"""
    weak: str | None
    """One that also stands for other things"""
    asking: str | None
    occasion: str | None
    date: str | None
    is_question: bool

    @property
    def inquiry(self) -> str | None:
        """What makes it an inquiry: no word does alone, a second sign is needed."""
        if self.occasion and (self.asking or self.date or self.is_question or self.kind or self.weak):
            return self.kind or self.occasion
        if self.kind and (self.asking or self.date):
            return self.kind
        if self.asking and (self.weak or self.date or self.is_question):
            return self.weak or self.asking
        return self.date if self.date and self.is_question else None


def read_signs(text: str, written_at: datetime) -> Signs:
    folded = fold(text)
    return Signs(
        kind=find_job_word(folded) or find(POLISH, folded),
        weak=find_perhaps_word(folded) or find(WEAK, folded),
        asking=find(ASKING, folded),
        occasion=find(OCCASIONS, folded),
        date=find_date_ahead(text, written_at),
        is_question=has_question(text),
    )


def find_date_ahead(text: str, written_at: datetime) -> str | None:
    """A day or a month that lies ahead, as `YYYY-MM-DD` or `YYYY-MM`.

    One without a year is the next one; a month alone needs a year, since "may" and "mars" are words as well.
    """
    today = written_at.date()
    for match in _ISO.finditer(text):
        if found := _ahead(today, int(match[1]), int(match[2]), int(match[3])):
            return found
    for match in _DOTTED.finditer(text):
        first, second, year = int(match[1]), int(match[2]), int(match[3])
        year += 2000 if year < 100 else 0
        day, month = (first, second) if second <= 12 else (second, first)
        if found := _ahead(today, year, month, day):
            return found
    return next(filter(None, (_written(today, match) for match in _WRITTEN.finditer(fold(text)))), None)


def _written(today: date, match: re.Match[str]) -> str | None:
    month, day = _MONTH_OF[match["month"]], match["day"] or match["late"]
    if match["year"]:
        return _ahead(today, int(match["year"]), month, int(day) if day else None)
    if day is None:
        return None
    return _ahead(today, today.year, month, int(day)) or _ahead(today, today.year + 1, month, int(day))


def _ahead(today: date, year: int, month: int, day: int | None) -> str | None:
    try:
        named = date(year, month, day or 28)
    except ValueError:
        return None
    if not today < named <= today + FURTHEST:
        return None
    return named.isoformat() if day else f"{year:04}-{month:02}"

"""What a first message says: whether it is about a job of the trade, and which day it names."""

import re
from datetime import date, datetime, timedelta
from functools import cache

from chalicelib.platforms.core.titles import find_job_word, fold, word_pattern

ASKING = """
    available, availability, pricing, price list-, your prices, your rates, your packages, a quote, book you,
    hire you, photographer for, photographers for,
    verfugbar-, verfuegbar-, preisliste-, preise, angebot, anfrage, buchen, buchung-, noch frei, fotograf fur,
    fotografin fur, fotografen fur,
    disponible-, disponibilite-, vos tarifs, tarifs, devis, prestation-, reserver, photographe pour,
    disponibilidad-, presupuesto-, vuestras tarifas, sus tarifas, precios, contratar, fotografo para, fotografa para,
    disponibilita, preventivo-, prezzi, listino-, prenotare, fotografo per, fotografa per,
    disponivel, disponibilidade-, orcamento-, precos, contratar voce, fotografo para, fotografa para
"""
"""What people ask a photographer, in six languages; written like the tables of `trade_words`."""

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


@cache
def _asking() -> re.Pattern[str]:
    return word_pattern(ASKING)


def find_trade_word(text: str) -> str | None:
    folded = fold(text)
    found = find_job_word(folded)
    if found is None and (match := _asking().search(folded)):
        found = match[0].strip()
    return found


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

"""How people of seven languages write a day."""

from datetime import date

MONTHS = {
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "en": "January February March April May June July August September October November December",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
}
DAYS = {
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "pl": "poniedziałek wtorek środa czwartek piątek sobota niedziela",
    "pt": "segunda terça quarta quinta sexta sábado domingo",
}
LONG = {
    "de": "{day}. {month} {year}",
    "en": "{month} {day}, {year}",
    "es": "{day} de {month} de {year}",
    "fr": "{day} {month} {year}",
    "it": "{day} {month} {year}",
    "pl": "{day} {month} {year}",
    "pt": "{day} de {month} de {year}",
}
SHORT = {"de": "%d.%m.%Y", "en": "%m/%d/%Y", "pl": "%d.%m.%Y"}
OTHERS = "%d/%m/%Y"


def long_date(day: date, language: str) -> str:
    return LONG[language].format(day=day.day, month=month_name(day, language), year=day.year)


def short_date(day: date, language: str) -> str:
    return day.strftime(SHORT.get(language, OTHERS))


def month_name(day: date, language: str) -> str:
    return MONTHS[language].split()[day.month - 1]


def day_name(day: date, language: str) -> str:
    return DAYS[language].split()[day.weekday()]


def casual_date(day: date, language: str) -> str:
    """Without a year, as people write in haste."""
    if language == "de":
        return f"{day.day}.{day.month}."
    if language == "en":
        suffix = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
        return f"{month_name(day, language)} {day.day}{suffix}"
    return f"{day.day} {'de ' if language in ('es', 'pt') else ''}{month_name(day, language)}"

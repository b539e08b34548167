"""Messages that only thank or confirm: nobody waits for an answer to them."""

import re
from functools import cache

from chalicelib.platforms.core.titles import fold

LONGEST = 200
"""Characters of a message that may be mere thanks"""

PHRASES = """
    thank you so much, thank you very much, thank you, thanks so much, thanks a lot, many thanks, thanks again, thanks,
    thx, much appreciated, that is perfect, that s perfect, perfect, that is great, that s great, that sounds great,
    sounds great, sounds good, sounds perfect, great, wonderful, awesome, amazing, lovely, fantastic, brilliant,
    all good, got it, received, confirmed, noted, will do, see you then, see you soon, see you, looking forward to it,
    looking forward, can t wait, they are wonderful, they are beautiful, they are amazing, we love them, i love them,
    okay, ok, yes, of course,
    vielen lieben dank, vielen dank, herzlichen dank, lieben dank, besten dank, tausend dank, danke schon,
    danke schoen, danke sehr, danke, perfekt, super, toll, wunderbar, prima, klasse, passt, alles klar, in ordnung,
    einverstanden, sehr schon, sehr schoen, das passt, das klingt gut, klingt gut, wir freuen uns, ich freue mich,
    freue mich, bis dann, bis bald, ja,
    merci beaucoup, mille mercis, un grand merci, merci, parfait, c est parfait, super merci, genial, tres bien,
    c est note, bien recu, d accord, avec plaisir, a bientot, oui,
    muchisimas gracias, muchas gracias, mil gracias, gracias, perfecto, genial, estupendo, fenomenal, de acuerdo,
    recibido, confirmado, vale, muy bien, hasta pronto, si,
    grazie mille, mille grazie, molte grazie, tante grazie, grazie, perfetto, benissimo, ottimo, va bene, d accordo,
    ricevuto, confermato, a presto,
    muito obrigado, muito obrigada, obrigado, obrigada, perfeito, otimo, maravilhoso, tudo bem, combinado, recebido,
    confirmado, ate breve, sim
"""
"""In six languages, folded; a longer phrase stands before those it contains."""

POLITE = """
    hi, hello, hey, dear, hallo, liebe, lieber, guten tag, bonjour, salut, hola, buenos dias, ciao, buongiorno, ola,
    bom dia, best regards, kind regards, warm regards, best wishes, best, regards, cheers, sincerely, love, xx, x,
    liebe grusse, liebe gruesse, viele grusse, viele gruesse, beste grusse, herzliche grusse, mit freundlichen grussen,
    lg, vg, cordialement, bien a vous, bises, saludos, un saludo, un abrazo, besos, cordiali saluti, saluti,
    un abbraccio, abracos, um abraco, beijos, atenciosamente, and, und, et, y, e, so, very, much, again, for everything,
    for your help, for the quick reply, fur alles, pour tout, por todo, per tutto, por tudo, you, we, all, team, both
"""
"""Greetings and what surrounds thanks; alone they are no thanks."""

_QUOTES = re.compile(
    r"(?:\bOn\b.{1,120}\bwrote:|\bAm\b.{1,120}\bschrieb\b.{0,80}:|\bEl\b.{1,120}\bescribi[oó]:"
    r"|\bLe\b.{1,120}\ba écrit\s?:|\bIl\b.{1,120}\bha scritto:|\bEm\b.{1,120}\bescreveu:|-{3,}\s*Original|^>).*",
    re.DOTALL | re.MULTILINE,
)
"""The lines before a quoted message, in the same languages."""
_ASKING = re.compile(r"[?\d¿？؟]")


def only_thanks(preview: str | None, name: str | None) -> bool:
    """A question mark, a digit, or any word beyond thanks, greetings and the writer's name makes it more than that."""
    own_words = _QUOTES.sub("", preview or "").strip()
    if not own_words or len(own_words) > LONGEST or _ASKING.search(own_words):
        return False
    thanks, polite = _patterns()
    rest, thanked = thanks.subn(" ", fold(own_words).replace(" ", "  "))
    if not thanked:
        return False
    names = set(fold(name or "").split())
    left = polite.sub(" ", rest).split()
    return all(word in names or not word.isalnum() for word in left)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    return _any_of(PHRASES), _any_of(POLITE)


def _any_of(phrases: str) -> re.Pattern[str]:
    """In a folded text whose words have two spaces between them, so that neighbours do not share one."""
    listed = sorted({" ".join(phrase.split()) for phrase in phrases.split(",")}, key=lambda each: -len(each))
    return re.compile("|".join(f" {phrase.replace(' ', '  ')} " for phrase in listed))

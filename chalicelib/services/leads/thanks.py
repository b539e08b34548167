"""Messages that only thank or confirm: nobody waits for an answer to them."""

import re
from functools import cache

from chalicelib.platforms.core.titles import fold
from chalicelib.services.leads.inquiring import find

LONGEST = 200
"""Characters of a message that may be mere thanks"""
OTHER_WORDS = 4
"""Words besides greetings and names that may stand beside a closing: whom they ask, what they discuss"""

PHRASES = """
    thank you so much, thank you very much, thank you, thanks so much, thanks a lot, many thanks, thanks again,
    thanks y all, thank y all, thanks, thx, much appreciated, that is perfect, that s perfect, perfect, that is great,
    that s great, that sounds great, sounds great, sounds good, sounds perfect, great, wonderful, awesome, amazing,
    lovely, fantastic, brilliant, all good, got it, received, confirmed, noted, will do, see you then, see you soon,
    see you, looking forward to it, looking forward, can t wait, they are wonderful, they are beautiful,
    they are amazing, we love them, i love them, okay, ok, yes, yay, of course, you re the best, you are the best,
    thanks anyway, no worries, no problem, jaa, oh schade, schade, lieb von dir, ihr seid toll, du bist die beste,
    du bist der beste, vielen lieben dank, vielen dank, herzlichen dank, lieben dank, besten dank, tausend dank,
    danke schon, danke schoen, danke sehr, danke dir, danke euch, danke ihnen, danke, perfekt, super, toll, wunderbar,
    prima, klasse, passt, alles klar, in ordnung, einverstanden, sehr schon, sehr schoen, das passt, das klingt gut,
    klingt gut, wir freuen uns, ich freue mich, freue mich, bis dann, bis bald, ja, merci beaucoup, merci a vous,
    merci a toi, mille mercis, un grand merci, merci, parfait, c est parfait, super merci, genial, tres bien,
    c est note, bien recu, d accord, avec plaisir, a bientot, oui, muchisimas gracias, muchas gracias, mil gracias,
    gracias a ti, gracias a ustedes, gracias, perfecto, estupendo, fenomenal, de acuerdo, recibido, confirmado, vale,
    muy bien, hasta pronto, si, grazie mille, mille grazie, molte grazie, tante grazie, grazie a te, grazie a voi,
    grazie, perfetto, benissimo, ottimo, va bene, d accordo, ricevuto, confermato, a presto, muito obrigado,
    muito obrigada, obrigado, obrigada, perfeito, otimo, maravilhoso, tudo bem, combinado, recebido, ate breve, sim
"""
"""In six languages, folded; a longer phrase stands before those it contains."""

POLITE = """
    hi, hello, hey, dear, hallo, liebe, lieber, guten tag, bonjour, salut, hola, buenos dias, ciao, buongiorno, ola,
    bom dia, best regards, kind regards, warm regards, best wishes, best, regards, cheers, sincerely, love, xx, x,
    liebe grusse, liebe gruesse, viele grusse, viele gruesse, beste grusse, herzliche grusse,
    mit freundlichen grussen, lg, vg, cordialement, bien a vous, bises, saludos, un saludo, un abrazo, besos,
    cordiali saluti, saluti, un abbraccio, abracos, um abraco, beijos, atenciosamente, and, und, et, y, e, so, very,
    much, again, for everything, but, aber, mais, pero, ma, mas, omg, oh, haha, aw, aww, already, dann, sehr, nochmal,
    noch mal, gern, gerne, schon mal, for your help, for the quick reply, fur alles, pour tout, por todo, per tutto,
    por tudo, you, we, all, team, both
"""
"""Greetings and what surrounds thanks; alone they are no thanks."""

CLOSINGS = """
    let me ask, i ll ask, i will ask, i ll run it by, i ll talk to, we ll talk it over, we ll talk about it,
    we ll discuss, we ll think about it, i ll think about it, we need to think, we ll be in touch, i ll be in touch,
    will be in touch, get back to you, let you know, talk soon, booked it, just booked, booking now, will book online,
    filled it out, filled out the form, going to the link, on my way, wir melden uns, ich melde mich, melden uns,
    melde mich, wir besprechen, ich bespreche, wir uberlegen, ich uberlege, wir denken daruber nach,
    denken druber nach, geben bescheid, gebe bescheid, mach ich, machen wir, on en parle, on reflechit,
    nous reflechissons, je reflechis, on revient vers vous, je reviens vers vous, nous vous recontactons, le digo a,
    le pregunto a, lo hablamos, lo hablo con, lo consulto, lo pensamos, te aviso, le aviso, te digo, les aviso,
    nos ponemos en contacto, ne parlo con, ne parliamo, ci pensiamo, ci penso, ti faccio sapere, le faccio sapere,
    vi facciamo sapere, ti aggiorno, vou falar com, vamos conversar, vamos pensar, vou pensar, aviso voces,
    entraremos em contato, dam znac, damy znac, odezwe sie, odezwiemy sie, zastanowimy sie
"""
"""What people say when the next step is theirs."""

REQUESTS = """
    how, what, what s, when, where, which, who, why, can you, could you, would you, will you, can we, could we, can i,
    could i, may i, may we, shall we, do you, are you, is there, please, need, we want, i want, send, call me,
    call us, let us know, let me know, tell me, tell us, to book, book you, like to, wie, was, wann, wo, welche-, wer,
    warum, konnt-, koennt-, kannst, konnen sie, koennen sie, wurdest, wurden, wuerden, hast du, habt ihr, haben sie,
    bitte, brauch-, schick-, ruf, rufen, sag bescheid, sagst du, buchen, buche, hatten gern, haetten gern, mochten,
    moechten, wollen, comment, quand, combien, quel-, pourquoi, pouvez, pourriez, pourrais, peux tu, envoyez, envoie,
    s il vous plait, svp, besoin, voulons, voudrais, reserver, como, cuando, cuanto-, que hora, cual, donde, puede,
    puedes, podria-, por favor, necesit-, quiero, queremos, mande, manda, envia, reservar, quando, quanto, quale,
    dove, puo, puoi, potete, potrebbe, per favore, vorrei, vorremmo, mandi, prenotare, bisogno, qual, onde, pode,
    podem, poderia, queria, mandar, contratar, fechar, kiedy, ile, jak, gdzie, czy, prosze, mozesz, moze pani, chcemy,
    potrzeb-
"""
"""A message with one of these asks for something."""

_QUOTES = re.compile(
    r"(?:\bOn\b.{1,120}\bwrote:|\bAm\b.{1,120}\bschrieb\b.{0,80}:|\bEl\b.{1,120}\bescribi[oó]:"
    r"|\bLe\b.{1,120}\ba écrit\s?:|\bIl\b.{1,120}\bha scritto:|\bEm\b.{1,120}\bescreveu:|-{3,}\s*Original|^>).*",
    re.DOTALL | re.MULTILINE,
)
"""The lines before a quoted message, in the same languages."""
_SIGNATURES = re.compile(
    r"(?:-- )?(?:Sent from|Sent with|Get Outlook|Von meinem .{1,30}gesendet|Gesendet (?:von|mit)"
    r"|Diese Nachricht wurde von|Holen Sie sich Outlook|Outlook für|Envoyé (?:de|depuis|avec)|Obtenir Outlook"
    r"|Télécharger Outlook|Enviado (?:desde|do|de|com)|Obtener Outlook|Obter o Outlook|Inviato (?:da|con)"
    r"|Scarica Outlook|Wysłan[eo] z).*",
    re.DOTALL,
)
"""What mail programs add"""
_ASKING = re.compile(r"[?\d¿？؟]")


def only_thanks(preview: str | None, name: str | None) -> bool:
    """A question mark, a digit, a request, or much beyond thanks, greetings and names makes it more than that."""
    own_words = _SIGNATURES.sub("", _QUOTES.sub("", preview or "")).strip()
    if len(own_words) > LONGEST or _ASKING.search(own_words):
        return False
    if own_words and not any(character.isalnum() for character in own_words):
        return True  # a heart
    spaced = fold(own_words).replace(" ", "  ")
    rest, closed = _any_of(CLOSINGS).subn(" ", spaced)
    rest, thanked = _any_of(PHRASES).subn(" ", rest)
    if not (thanked or closed) or find(REQUESTS, fold(rest)):
        return False
    names = set(fold(name or "").split())
    left = [word for word in _any_of(POLITE).sub(" ", rest).split() if word.isalnum() and word not in names]
    return len(left) <= (OTHER_WORDS if closed else 0)


@cache
def _any_of(phrases: str) -> re.Pattern[str]:
    """In a folded text whose words have two spaces between them, so that neighbours do not share one."""
    listed = sorted({" ".join(phrase.split()) for phrase in phrases.split(",")}, key=lambda each: -len(each))
    return re.compile("|".join(f" {phrase.replace(' ', '  ')} " for phrase in listed if phrase))

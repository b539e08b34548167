"""Words of people who ask a photographer for a job, in seven languages: English, German, French, Spanish, Italian,
Portuguese and Polish; written like the tables of `trade_words`.

None of them decides alone: the same words stand in offers to photographers and in mail of other trades.
"""

import re
from functools import cache

from chalicelib.platforms.core.titles import word_pattern

ASKING = """
    recommended you, recommended by, found you on, found y all on, empfohlen, gefunden uber, gefunden ueber,
    recommande par, trouve sur, te encontre en, os encontramos, recomendo, consigliato da, trovato su, encontrei no,
    recomendado por, polecil-, would like, available, availability, availabilities, are you free, you free, you open,
    are open, is open, still open, any openings, have openings, openings, date open, have that weekend, book you,
    book a session, booking you, hire you, how do we book, price, prices, pricing, price list-, your rate, your rates,
    rates, packages, a quote, quote for, an estimate, estimate for, bids for, submit a proposal, how much,
    do you charge, you charge, cost, costs, photographer for, photographers for, photographer needed,
    need a photographer, needs a photographer, need someone, looking for a photographer, looking for photographer-,
    search photograph-, your brochure, investment guide, do you do, do you guys do, do yall do, do y all do, you do,
    do u do, do you offer, do you also, we need, i need, do you shoot, do you photograph, do y all shoot,
    able to take pictures, squeeze us in, squeeze me in, any spots, spots left, still have spots, full already,
    already full, sold out, booked up, do you have anything, have anything open, anything open, do you have time,
    have time for us, interested in your services, i would like, we would like, we d like, i d like, would you charge,
    interested in, would love a, would love to book, interested in booking, can you do, could you do, verfugbar-,
    verfuegbar-, preisliste-, preis, preise, preisen, konditionen, kosten, kostet, kostest, was nimmst du, angebot,
    anfrage, -anfrage, buchen, buchbar, buchung-, noch frei, bist du frei, seid ihr frei, sind sie frei, da frei,
    termin frei, ist frei, hattest du zeit, haettest du zeit, hast du zeit, habt ihr zeit, haben sie zeit,
    zeit fur uns, zeit fuer uns, kapazitat-, noch einen termin, termin fur, termin fuer, wir brauchen, ich brauche,
    machst du auch, macht ihr auch, machen sie auch, machen sie so etwas, kommen sie auch, fotografierst du,
    fotografieren sie auch, fotografiert ihr, platz fur uns, noch platz, schon voll, ausgebucht, fotograf fur,
    fotografin fur, fotografen fur, fotograf fuer, fotografin fuer, fotografen fuer, suchen eine fotograf-,
    suchen einen fotograf-, suche eine fotograf-, suche einen fotograf-, suchen noch eine-, suchen fotograf-,
    suche fotograf-, auf der suche nach, suchen wir, suchen wir eine-, interessieren uns, interessiere mich,
    hatten gern, haetten gern, hatte gern, haette gern, gutschein-, disponible-, disponibilite-, dispo, libre le,
    etes vous libre, vos tarifs, tarif, tarifs, vos prix, combien coute, combien, devis, prestation-, forfait-,
    reserver, cherchons un-, cherche un-, photographe pour, faites vous, c est possible, est ce possible,
    serait il possible, quelqu un pour, disponibilidad-, presupuesto-, cotizacion, cuanto cuesta, cuanto cobran,
    cuanto cobra, cuanto sale, tarifas, precio, precios, paquetes, contratar, reservar, hacen, hace usted, haceis,
    buscamos, busco, fotografo para, fotografa para, necesito, necesitamos, hueco, teneis hueco, quisiera,
    quisieramos, disponibil-, libero il, libera il, libero per, libera per, ancora liber-, preventivo-, prezzi,
    prezzo, costi, quanto costa, quanto viene, listino-, pacchett-, prenotare, cerchiamo, cerco un-, fotografo per,
    fotografa per, vorremmo, vorrei, avrei bisogno, fate anche, fai anche, disponivel, disponiveis, disponibilidade-,
    data livre, orcamento-, preco, precos, valores, qual o valor, quanto custa, quanto sai, pacotes, contratar voce,
    agendar, procuramos, procuro, preciso de, precisamos de, gostaria de, fazem, wolny termin, wolna, wolny, wolni,
    dostepn-, cennik, ile kosztuje, jaki jest koszt, jaka jest cena, jakie sa ceny, koszt, cena, ceny, oferta, oferte,
    szukamy, szukam, rezerwacj-, robisz, robicie
"""
"""What people ask: the day, the price, the offer, the service. Sources: common usage of the trade; the words of first
contact that studios list for their forms."""

OCCASIONS = """
    getting married, get married, we re engaged, we are engaged, got engaged, just engaged, my fiance, my fiancee,
    our wedding, my wedding, our big day, our ceremony, our elopement, to elope, our engagement, marry, tie the knot,
    propose to my, proposing to, our reception, courthouse wedding, backyard wedding, our anniversary, i m due,
    we re due, baby due, due date, we re expecting, we are expecting, i m pregnant, our newborn, my graduation,
    our family reunion, wir heiraten, ich heirate, heiraten wir, heiraten am, heiraten im, heiraten, unsere hochzeit,
    unserer hochzeit, meine hochzeit, meiner hochzeit, unsere trauung, unserer trauung, unsere standesamt-,
    unsere freie trauung, unserem hochzeitstag, unserem tag, unser baby, wir erwarten, bin schwanger, wird getauft,
    unsere taufe, silberhochzeit, goldene hochzeit, unsere verlobung, wir sind verlobt, wir haben uns verlobt,
    nous marions, nous nous marions, on se marie, notre mariage, mon mariage, nos fiancailles, mon fiance, ma fiancee,
    nous attendons, je suis enceinte, notre bapteme, nos casamos, me caso, nuestra boda, mi boda, mi prometid-,
    nos casaremos, los xv de, los quince de, mis quince, los xv anos, estoy embarazada, esperamos un bebe,
    ci sposiamo, mi sposo, nostro matrimonio, nostre nozze, mio matrimonio, il mio fidanzato, la mia fidanzata,
    aspettiamo un bambino, sono incinta, vamos casar, vamos nos casar, nos casar, me casar, nosso casamento,
    meu casamento, meu noivo, minha noiva, estou gravida, estou de, esperando um bebe, bierzemy slub, bierzemy ślub,
    nasz slub, nasz ślub, naszego slubu, nasze wesele, zareczylismy sie, jestem w ciazy
"""
"""What people say of a day of their own; nobody who sells to photographers does."""

POLISH = """
    slub-, ślub-, wesele, wesela, weseln-, narzeczen-, chrzest, chrztu, chrzcin-, komuni-, noworod-, brzuszkow-,
    ciazow-, sesja, sesje, sesji, fotograf, fotografa, fotografk-, zdjec-
"""
"""Kinds of jobs, for the seventh language"""

WEAK = """
    photographer, photographers, photography, photos, photo, pictures, pics, portraits, session, sessions, minis,
    shoot, picture day, coverage, camera, fotograf, fotografin, fotografen, fotos, bilder, fotografische,
    fotografisch, begleitung, einschulung, geburtstag-, photographe, photographes, seance-, fotografo, fotografa,
    fotografos, sesion, sesiones, servizio, foto, sessao, ensaio
"""
"""What stands for a job only where somebody asks"""

_ASKED = re.compile(r"[?¿？؟]")


@cache
def pattern(words: str) -> re.Pattern[str]:
    return word_pattern(words)


def find(words: str, folded: str) -> str | None:
    match = pattern(words).search(folded)
    return match[0].strip() if match else None


def has_question(text: str) -> bool:
    return _ASKED.search(text) is not None

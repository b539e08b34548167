"""First mails of strangers that are in no corpus, in seven languages; written after the rules."""

from datetime import UTC, datetime

import pytest

from chalicelib.platforms.core.records import MessageRecord, ThreadRecord
from chalicelib.services.leads.candidates import NOTHING_KNOWN
from chalicelib.services.leads.judging import judge

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
INQUIRIES = [
    ("Wedding 12 June 2027", "Hi, we love your work. Is the 12th still free? We expect 80 guests in Bath."),
    ("", "Hey! How much would you charge for an engagement session in the park?"),
    ("Availability", "Hello, are you available on 2027-09-18? It is a small elopement on the coast."),
    (
        "Photographer for christening",
        "Good morning, we are looking for a photographer for our son's christening in July.",
    ),
    ("Headshots", "Could you send me a quote for 8 headshots at our office?"),
    ("Maternity photos", "I'm 31 weeks and would love some pictures before the baby comes. What are your packages?"),
    ("Our big day", "We got engaged last week! Can we come and meet you? Our budget is 3k."),
    ("Family of five", "Do you do family sessions on Sundays? Grandma turns 80 in August and we want all of us in it."),
    ("Product photos", "We make candles and need 30 product photos by the end of the month. What would that cost?"),
    (
        "Saw you at the bridal fair",
        "We met at the bridal fair on Sunday. What are your prices for a whole wedding day?",
    ),
    ("Hochzeit 19.06.2027", "Liebe Anna, habt ihr an dem Tag noch nichts vor? Wir feiern mit 60 Gästen auf einem Hof."),
    (
        "Anfrage Familienshooting",
        "Hallo, wir hätten gern Fotos mit den Großeltern, am liebsten im Juli. Was kostet das?",
    ),
    ("Bewerbungsfotos", "Guten Tag, ich brauche neue Bewerbungsbilder. Wann haben Sie einen Termin frei?"),
    ("Taufe im Herbst", "Wir suchen für die Taufe unserer Tochter am 10. Oktober einen Fotografen. Haben Sie Zeit?"),
    ("Paarshooting als Geschenk", "Kann man bei euch einen Gutschein für ein Paarshooting kaufen?"),
    ("Standesamt", "Nächsten Monat heiraten wir ganz klein. Begleiten Sie auch nur zwei Stunden?"),
    ("Firmenfeier", "Für unser Sommerfest am 3. Juli suchen wir jemanden, der fotografiert. Bitte um ein Angebot."),
    ("Demande de devis mariage", "Bonjour, nous nous marions le 5 juin 2027 à Lyon. Êtes-vous disponible ?"),
    ("Séance naissance", "Bonjour, quels sont vos tarifs pour une séance nouveau-né à domicile ?"),
    (
        "Photos d'entreprise",
        "Nous cherchons un photographe pour dix portraits de notre équipe. Pouvez-vous nous faire un devis ?",
    ),
    ("Baptême", "Bonjour, faites-vous des baptêmes ? Le nôtre est le 12 septembre."),
    ("Boda en Sevilla", "Hola, nos casamos el 8 de mayo de 2027 y nos encanta tu trabajo. ¿Tienes disponibilidad?"),
    ("Comunión", "Buenos días, ¿cuánto cuesta un reportaje de comunión? Es para mi hijo, en mayo."),
    ("Presupuesto", "Quería pedir presupuesto para una sesión de embarazo en la playa."),
    ("Fotos de familia", "Hola! hacen sesiones de familia los domingos? somos seis"),
    ("Matrimonio settembre", "Buongiorno, ci sposiamo il 4 settembre 2027 in Toscana. È ancora libero?"),
    ("Preventivo battesimo", "Salve, vorrei un preventivo per il battesimo di mia figlia."),
    ("Servizio di coppia", "Ciao, fate anche servizi di coppia a Roma? Quanto costa un'ora?"),
    ("Casamento 2027", "Olá, vamos casar em setembro de 2027 no Porto. Qual o valor do pacote completo?"),
    ("Ensaio newborn", "Oi! Gostaria de um orçamento para ensaio newborn."),
    ("Batizado", "Bom dia, fazem batizados? É no dia 12 de julho em Lisboa."),
    ("Sesja ciążowa", "Dzień dobry, ile kosztuje sesja ciążowa w plenerze?"),
    ("Ślub 14.08.2027", "Czy ten termin jest jeszcze wolny? Pozdrawiamy, Ola i Kuba"),
    ("Chrzest", "Szukamy fotografa na chrzest w czerwcu, jaka jest cena?"),
    ("Rates?", "hi! what are your rates for a micro wedding"),
    (
        "Photographer for 40th birthday",
        "My husband turns 40 on July 18 and I'd like someone for two hours in the evening.",
    ),
    (
        "Availability request",
        "Our names are Kim and Lee, and we plan to get married at the lighthouse next spring. Would you be available?",
    ),
    ("Wedding album", "We'd like to book you for our wedding in May. Is an album included?"),
    (
        "Website",
        "I found your website through Google and love your pictures! Do you have time for our wedding on Aug 7?",
    ),
    ("photos for airbnb", "need photos of my apartment for airbnb, how soon could you come and how much"),
    ("Dog", "Do you also photograph dogs? Our old lady turns 15 in May."),
    (
        "Fotograf gesucht",
        "Wir suchen noch jemanden für unsere Hochzeit. 12.9.26, ca. 50 Leute, Potsdam. Was sind deine Konditionen?",
    ),
    ("Newborn", "Unser Sohn ist letzte Woche geboren, macht ihr auch Bilder zuhause?"),
    ("Fotobox", "Wir heiraten im Mai 2027. Bietet ihr neben der Reportage auch eine Fotobox an?"),
    ("Hochzeit in Italien", "Würdest du auch nach Südtirol kommen? Wir heiraten dort am 3.7.2027."),
    ("Babybauch", "Hast du in den nächsten Wochen noch einen Termin für Babybauchbilder?"),
    ("Mariage civil", "On cherche quelqu'un pour photographier notre mariage civil le 20 juin. Vous seriez libre ?"),
    ("EVJF", "Bonjour, une séance photo pour un enterrement de vie de jeune fille, c'est possible ?"),
    ("Grossesse", "Je suis enceinte de 7 mois et j'aimerais une séance photo. Combien ça coûte ?"),
    ("Quinceañera", "Mi hija cumple quince en octubre, ¿qué paquetes tienen?"),
    ("Preboda", "Buscamos fotógrafa para una preboda en Granada en abril"),
    ("Retrato", "Necesito retratos profesionales para LinkedIn, ¿tienes hueco esta semana?"),
    ("Nozze d'oro", "I miei genitori festeggiano le nozze d'oro il 20 giugno, vorremmo delle belle foto."),
    ("Prezzi", "Buonasera, potrei avere il listino per un matrimonio di 100 persone?"),
    ("Ensaio de casal", "Quanto custa um ensaio de casal na praia?"),
    ("Formatura", "Vocês fotografam formatura? É dia 20 de dezembro."),
    ("Zapytanie o ślub", "Bierzemy ślub w sierpniu 2027, proszę o ofertę."),
    ("Headshots for our interns", "We need headshots of our six interns in September. Could you send a quote?"),
    ("Resume photo", "I need a headshot for my resume. What do you charge?"),
    ("Recommended", "Our caterer recommended you. Are you available for a wedding on 18 June 2027?"),
    (
        "Price comparison",
        "We talked to two other photographers. What are your rates, and do we get the raw files and the copyright?",
    ),
    ("New clients", "Are you taking new clients? I would love a newborn session in March."),
    ("Drone", "Do you offer drone pictures with the wedding coverage, and how much is it?"),
    ("Redesign", "We are redesigning our website and need new portraits of the team. What would you charge?"),
    ("Preisliste", "Schickst du mir bitte deine Preise für eine Hochzeit? Wir möchten auch ein Album."),
    ("Bilder für Social Media", "Wir brauchen Produktfotos für Social Media, was kostet ein halber Tag?"),
    ("Empfehlung", "Die Traurednerin hat dich empfohlen. Bist du am 12.06.2027 für eine freie Trauung frei?"),
    ("Foto von uns", "Wir hätten gern ein schönes Foto von uns als Familie, wann hast du Zeit?"),
]
OTHERS = [
    ("Grow your studio", "We get wedding photographers to the top of Google. Can I send you a free SEO report?"),
    ("Quick question", "Do you outsource your editing? We edit 1,000 wedding photos in 48 hours, from 0.20 each."),
    (
        "Collaboration",
        "I have 60k followers and would love a couples shoot in exchange for posts. Are you available in June?",
    ),
    ("Second shooter needed 12 June", "I'm a wedding photographer from Leeds, my second is ill. Are you available?"),
    ("Summer internship", "I study photography and would love to assist you at weddings. Do you have a place for me?"),
    ("Photos from Saturday", "I was a guest at Mia and Tom's wedding. When will the pictures be online?"),
    (
        "Exhibitor stands",
        "Bridal Fair 2027: exhibitor packages for photographers from 490. Are you available for a call?",
    ),
    ("Guest post", "Would you accept a guest post about wedding dresses on your blog? What is your price?"),
    ("Silent auction", "Would you donate a family portrait session to our school's silent auction on 3 October?"),
    ("Credit", "We did hair and makeup for the bride on Saturday. Could you send us some pictures?"),
    (
        "Insurance for photographers",
        "Is your camera covered on a wedding day? We offer insurance for photographers, get a quote.",
    ),
    ("Ihre Website", "Mit Suchmaschinenoptimierung gewinnen Sie mehr Anfragen von Brautpaaren. Wann haben Sie Zeit?"),
    ("TFP-Shooting", "Hi, ich bin Model und suche Fotografen für ein TFP-Shooting im Juni. Hast du Zeit?"),
    ("Praktikumsplatz", "Ich suche ein Praktikum in der Hochzeitsfotografie, am liebsten ab September."),
    ("Zweitfotograf gesucht", "Für eine Hochzeit am 12. Juni suche ich einen Zweitfotografen. Bist du frei?"),
    ("Bilder von der Feier", "Ich war Gast auf der Hochzeit von Eva und Jan. Wo kann ich die Bilder herunterladen?"),
    (
        "Partenariat",
        "Nous aidons les photographes de mariage à trouver plus de clients. Êtes-vous disponible pour un appel ?",
    ),
    ("Stage", "Je cherche un stage de deux mois chez un photographe de mariage."),
    ("Más clientes", "Ayudamos a fotógrafos de boda a conseguir más clientes con Instagram. ¿Hablamos?"),
    ("Prácticas", "Estudio fotografía y busco prácticas en bodas este verano."),
    ("Più clienti", "Aiutiamo i fotografi di matrimonio a trovare più clienti. È disponibile per una chiamata?"),
    ("Mais clientes", "Ajudamos fotógrafos de casamento a ter mais clientes. Tem disponibilidade esta semana?"),
    (
        "Re: your photography",
        "Hi, I noticed your Google Business listing is missing key information. We can fix this for $99.",
    ),
    ("Presets", "New Lightroom presets for wedding photographers - 50% off until Sunday"),
    ("Model application", "I am an experienced model and would like to add to my portfolio, TFP only."),
    ("Assistant job", "Are you looking for an assistant photographer for this wedding season? My CV is attached."),
    ("Fast funding", "Your business qualifies for funding up to $250,000."),
    ("Umfrage", "Für meine Masterarbeit befrage ich Hochzeitsfotografen. Hätten Sie 15 Minuten?"),
    ("Versicherung", "Sind Sie als Hochzeitsfotograf richtig versichert? Jetzt Angebot einholen."),
    ("Bildrechte", "Auf Ihrer Seite ist ein Foto von mir auf einer Hochzeit, bitte entfernen Sie es."),
    ("DJ", "Hi, ich bin der DJ bei der Hochzeit am 12.06. Wann ist der Eröffnungstanz geplant?"),
    ("Votre site", "Votre site n'apparaît pas en première page de Google pour photographe mariage."),
    ("Invitée", "Bonjour, j'étais invitée au mariage de Léa et Tom, où peut-on télécharger les photos ?"),
    ("Colaboración", "Somos una tienda de vestidos de novia y buscamos colaboración con fotógrafos, sin coste."),
    ("Tirocinio", "Sono uno studente di fotografia e cerco un tirocinio."),
    ("Parceria", "Sou influenciadora e gostaria de uma parceria: ensaio em troca de divulgação."),
]
UNCLEAR = [
    ("Hello", "Could you call me back, please?"),
    ("Frage", "Guten Tag, ich hätte eine Frage. Wann sind Sie erreichbar?"),
    ("Bonjour", "J'ai eu votre nom par une amie. Bonne journée."),
    ("Workshop", "Do you offer workshops for wedding photographers? What does a day cost?"),
    ("Again", "You photographed our wedding in 2023 and now we would love a family session. Are you free in May?"),
    ("Second photographer", "Our wedding is on 5 June 2027. Do you bring a second shooter, and what does it cost?"),
    ("Elopement", "Two people, one dog, a mountain. Are you up for it in October?"),
    (
        "Gallery software",
        "Tired of slow galleries? Try our client gallery, free for 30 days, loved by 10,000 wedding photographers.",
    ),
]


def certainty(subject: str, text: str) -> str:
    first = MessageRecord(
        external_id="m",
        direction="in",
        kind="person",
        sent_at=NOON,
        sender_address="ana@example.org",
        person_address="ana@example.org",
        writers=("ana@example.org",),
        subject=subject,
        preview=text,
    )
    thread = ThreadRecord(external_id="t", channel="email", own=("hello@studio.example",), messages=(first,))
    return judge(thread, NOTHING_KNOWN).certainty


@pytest.mark.parametrize(("subject", "text"), INQUIRIES)
def test_who_asks_for_a_job_is_a_lead(subject: str, text: str) -> None:
    assert certainty(subject, text) == "lead"


@pytest.mark.parametrize(("subject", "text"), OTHERS)
def test_who_wants_something_else_is_none(subject: str, text: str) -> None:
    assert certainty(subject, text) == "not_a_lead"


@pytest.mark.parametrize(("subject", "text"), UNCLEAR)
def test_who_does_not_say_so_is_one_perhaps(subject: str, text: str) -> None:
    assert certainty(subject, text) == "perhaps"

"""What a title says, in six languages and every script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.core import trade_words
from chalicelib.platforms.core.titles import SAYS_NOTHING, Title, compiled_words, fold, read_title

KINDS = {
    "engagement": [
        "Engagement shoot before the wedding",
        "Before the wedding: engagement shoot",
        "Pre-wedding shoot Ahmadi",
        "E-session Park",
        "Couples' photos Weber",
        "Verlobungsshooting Krüger",
        "Paerchenshooting",
        "Pärchenshooting",
        "Séance couple Dupont",
        "Preboda Ana y Luis",
        "Ensaio de casal João e Maria",
        "Pré-casamento Souza",
    ],
    "wedding": [
        "Wedding Ruiz & Okafor",
        "WEDDING: O'Brien",
        "Elopement, Rügen",
        "Bridesmaids' breakfast",
        "Hochzeitsfotos Müller",
        "Traumhochzeit am See",
        "Standesamtliche Trauung Koch",
        "Gartentrauung",
        "Brautpaarshooting Beck",
        "Mariage Léa & Paul",
        "Boda Ana y Luis",
        "Casamiento Pérez",
        "Matrimonio Rossi – Bianchi",
        "Nozze d'argento Conti",
        "Casamento João e Maria",
        "Hochzeit Mu\u0308ller",
    ],
    "newborn": [
        "MATERNITY session",
        "Newborn shoot – Keller",
        "Baby photos Smith",
        "Babybauchshooting",
        "Neugeborenenfotos Koch",
        "Schwangerschaftsshooting Anna",
        "Séance grossesse Martin",
        "Photos naissance Louise",
        "Sesión embarazo García",
        "Recién nacido Hugo",
        "Servizio gravidanza Rossi",
        "Ensaio gestante Ana",
    ],
    "family": [
        "Family shoot Keller",
        "Family reunion photos",
        "Familienfotos Weber",
        "Kindergartenfotos Sonnenschein",
        "Séance famille Dupont",
        "Sesión familiar López",
        "Servizio fotografico famiglia Conti",
        "Ensaio família Souza",
        "Mini sessions, October",
    ],
    "portrait": [
        "Headshots, law firm",
        "Business portraits",
        "Businessporträt Schäfer",
        "Bewerbungsfotos Lena",
        "Portrait Élodie",
        "Retrato corporativo",
        "Ritratti Bianchi",
    ],
    "event": [
        "Corporate event, photos",
        "Birthday photos Emma",
        "Christening Noor",
        "Kindstaufe Emil",
        "Konfirmation Ida",
        "Baptême Louise",
        "Bautizo Hugo",
        "Battesimo Giulia",
        "Batizado da Clara",
        "Festa di laurea, servizio fotografico",
    ],
    "other": [
        "Shoot with Kwame",
        "Fotoshooting Meyer",
        "Photo session, Park",
        "Sesión de fotos Ruiz",
        "Product photos",
    ],
}
NO_JOBS = [
    "Dentist",
    "Prevented: dentist",
    "Yoga",
    "Lunch with Mum",
    "Family dinner",
    "Abendessen mit der Familie",
    "Birthday Tom",
    "Kindergeburtstag Emma",
    "Babysitter",
    "Hochzeitstag",
    "Our wedding anniversary",
    "Anniversaire de mariage",
    "Wedding fair Arena Berlin",
    "Hochzeitsmesse",
    "Troubleshooting the printer",
    "Passfotos abholen",
    "Fotobuch bestellen",
    "Marie's birthday",
    "Vorgespräch",
    "Consultation dentiste",
    "Therapy session",
    "",
    "—",
    "結婚式",
]
CONSULTATIONS = [
    "Consultation call (wedding)",
    "Wedding consult Smith",
    "Video call: wedding Adams",
    "Planning meeting, wedding Smith",
    "Vorgespräch Hochzeit Müller",
    "Hochzeitsgespräch Koch",
    "Besprechung Trauung Meier",
    "Entretien mariage Dupont",
    "Reunión boda Ana y Luis",
    "Consulenza matrimonio Rossi",
    "Reunião casamento Souza",
]
TENTATIVE = [
    "HOLD Wedding Smith",
    "[hold] Wedding Smith",
    "Wedding Smith (HOLD)",
    "Wedding Smith - tentative",
    "Tentative: family shoot",
    "Wedding (to be confirmed) Smith",
    "Option: Hochzeit Müller",
    "Hochzeit Müller (Option)",
    "Vorgemerkt Hochzeit Koch",
    "Option mariage Dupont",
    "Mariage Dupont (à confirmer)",
    "Boda Ruiz (por confirmar)",
    "Opzione matrimonio Rossi",
    "Opção: casamento Souza",
]
CALLED_OFF = [
    "Cancelled wedding Smith",
    "CANCELED - family shoot",
    "Wedding Smith (cancelled)",
    "Wedding (cancelled by the couple) Smith",
    "Wedding Smith – called off",
    "Abgesagt: Hochzeit Meier",
    "Hochzeit Meier storniert",
    "Entfällt: Familienshooting",
    "Annulé : mariage Dupont",
    "Séance famille annulée",
    "Boda Ruiz CANCELADA",
    "Annullato matrimonio Rossi",
    "Cancelado: casamento Souza",
]


def read(title: str) -> Title:
    return read_title(title, fold(title))


@pytest.mark.parametrize(("kind", "title"), [(kind, title) for kind, titles in KINDS.items() for title in titles])
def test_a_job_is_recognized_by_its_title(kind: str, title: str) -> None:
    assert read(title) == Title(kind, names_job=True)


@pytest.mark.parametrize("title", NO_JOBS)
def test_private_life_is_not_a_job(title: str) -> None:
    outcome = read(title)
    assert (outcome.names_job, outcome.certainty) == (False, "certain")


@pytest.mark.parametrize("title", CONSULTATIONS)
def test_a_consultation_is_a_kind_of_its_own(title: str) -> None:
    assert read(title) == Title("consultation", names_job=True)


@pytest.mark.parametrize("title", TENTATIVE)
def test_a_held_date_is_tentative(title: str) -> None:
    outcome = read(title)
    assert (outcome.names_job, outcome.certainty) == (True, "tentative")


@pytest.mark.parametrize("title", CALLED_OFF)
def test_a_title_may_call_a_job_off(title: str) -> None:
    outcome = read(title)
    assert (outcome.names_job, outcome.certainty) == (True, "called_off")


@pytest.mark.parametrize(
    "title",
    ["Holden & Kim wedding", "Album option talk, wedding Smith", "Wedding: hold the rings shot", "Optiker Hochzeit"],
)
def test_inside_a_title_the_same_words_mean_something_else(title: str) -> None:
    assert read(title).certainty == "certain"


@pytest.mark.parametrize(
    ("title", "folded"),
    [
        ("Wedding: Ana & Luis", " wedding ana luis "),
        ("  Señor_Müller's BODA—2026 ", " senor muller s boda 2026 "),
        ("Straße", " strasse "),
        ("Свадьба Ёлкиных", " свадьба елкиных "),
        ("Γάμος", " γαμοσ "),
        ("田中様結婚式", " 田 中 様 結 婚 式 "),
        ("ガ", " カ ゙ "),
        ("결혼식 사진", " 결혼식 사진 "),
        ("शादी की फोटो", " शादी की फोटो "),
        ("Smith💍", " smith 💍 "),
        ("", "  "),
    ],
)
def test_titles_are_folded_to_words_without_case_and_accents(title: str, folded: str) -> None:
    assert fold(title) == folded


@given(st.text(max_size=60))
def test_any_title_can_be_read(title: str) -> None:
    assert read(title).kind in {*trade_words.KINDS, "consultation", "other"}
    assert fold(fold(title)) == fold(title)


@given(st.text(max_size=20), st.text(max_size=20))
def test_words_are_found_next_to_others(first: str, second: str) -> None:
    assert fold(f"{first} {second}").split() == [*fold(first).split(), *fold(second).split()]


def test_each_word_of_the_tables_is_found_and_unique() -> None:
    tables = [*trade_words.KINDS.values(), *trade_words.PERHAPS.values(), trade_words.SHOOT, trade_words.PHOTOGRAPHY]
    tables += [trade_words.CONSULTATION, trade_words.MISLEADING, trade_words.TENTATIVE, trade_words.CALLED_OFF]
    words = [" ".join(word.split()) for table in tables for word in table.split(",")]
    bare = [word.strip("-") for word in words]
    assert len(set(bare)) == len(bare), sorted(word for word in bare if bare.count(word) > 1)
    assert [word for word in bare if fold(word) != f" {word} "] == []
    for word in bare:
        (match, *_) = compiled_words().pattern.finditer(fold(word))
        assert match[0].strip() == word


def test_a_title_without_words_of_the_trade_says_nothing() -> None:
    assert read("Chess club") is SAYS_NOTHING

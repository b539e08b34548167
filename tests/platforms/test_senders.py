"""Who wrote a mail: machines by their markers, people also behind a form, a portal or a group."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.mail.addresses import is_robot, is_same_organisation, mailbox_of
from chalicelib.platforms.mail.headers import HEADERS, Head
from chalicelib.platforms.mail.mailboxes import Mailbox
from chalicelib.platforms.mail.senders import PERSON, RULES, Sender, is_automatic, who_wrote

OWN = "hello@studio.example"
ANA = ("Ana Ruiz", "ana@example.org")
CATEGORIES = ("CATEGORY_PROMOTIONS", "CATEGORY_SOCIAL", "CATEGORY_UPDATES", "CATEGORY_FORUMS")


def head(*labels: str, **headers: str) -> Head:
    fields = {"from": "Ana Ruiz <ana@example.org>", "to": OWN, **headers}
    return Head({name.replace("_", "-"): value for name, value in fields.items()}, frozenset(labels))


def judged(*labels: str, **headers: str) -> Sender:
    return who_wrote(head(*labels, **headers), [OWN])


def person(name: str | None, address: str | None, *, relayed: bool = False, form: bool = False) -> Sender:
    return Sender(PERSON, Mailbox(name, address), relayed, form)


MACHINES: list[tuple[str, dict[str, Any]]] = [
    ("bounce", {"from": "Mail Delivery <MAILER-DAEMON@mx.example>"}),
    ("bounce", {"from": "postmaster@mx.example"}),
    ("bounce", {"content_type": 'Multipart/Report; report-type=delivery-status; boundary="b"'}),
    ("bounce", {"return_path": "<>"}),
    ("read_receipt", {"content_type": "multipart/report; report-type=disposition-notification; boundary=b"}),
    ("auto_reply", {"auto_submitted": "auto-replied"}),
    ("auto_reply", {"auto_submitted": "Auto-Replied (vacation)", "return_path": "<>"}),
    ("auto_reply", {"auto_submitted": "auto-notified; owner-email=ana@example.org"}),
    ("auto_reply", {"x_autoreply": "yes", "precedence": "bulk"}),
    ("auto_reply", {"x_autorespond": "Wedding in June"}),
    ("auto_reply", {"precedence": "auto_reply"}),
    ("auto_reply", {"subject": "Automatic reply: Your gallery is ready"}),
    ("auto_reply", {"subject": "Réponse automatique : mariage"}),
    ("auto_reply", {"subject": "Abwesenheitsnotiz"}),
    ("auto_generated", {"auto_submitted": "auto-generated"}),
    ("auto_generated", {"auto_submitted": "auto-x-unknown"}),
    ("bulk", {"precedence": "bulk"}),
    ("bulk", {"precedence": "Junk"}),
    ("list", {"precedence": "list"}),
    ("list", {"list_id": "Photographers <photographers.lists.example>"}),
    ("list", {"list_id": "<photographers.lists.example>", "reply_to": "photographers@lists.example"}),
    ("newsletter", {"list_unsubscribe": "<https://x.example/leave>"}),
    ("newsletter", {"from": "News <news@shop.example>", "reply_to": "hello@shop.example", "list_unsubscribe": "<x>"}),
    ("newsletter", {"from": "News <no-reply@m.shop.co.uk>", "reply_to": "eva@shop.co.uk", "list_unsubscribe": "<x>"}),
    ("promotion", {"labels": ["CATEGORY_PROMOTIONS"]}),
    ("social", {"labels": ["CATEGORY_SOCIAL"]}),
    ("forum", {"labels": ["CATEGORY_FORUMS"]}),
    ("notification", {"labels": ["CATEGORY_UPDATES"]}),
    ("chat", {"labels": ["CHAT"]}),
    ("social", {"from": "Facebook <notification@facebookmail.com>", "reply_to": "Ana <ana@example.org>"}),
    ("social", {"from": "Instagram <no-reply@mail.instagram.com>"}),
    (
        "calendar",
        {
            "sender": "Google Calendar <calendar-notification@google.com>",
            "reply_to": "Ana Ruiz <ana@example.org>",
            "content_type": "multipart/mixed; boundary=b",
        },
    ),
    ("calendar", {"from": "Google Calendar <calendar-notification@google.com>"}),
    ("calendar", {"content_type": "text/calendar; method=REPLY"}),
    ("notification", {"from": "Ana (via Google Docs) <drive-shares-dm-noreply@google.com>", "reply_to": "a@b.example"}),
    ("notification", {"from": "Ana via DocuSign <dse_na3@docusign.net>", "reply_to": "Ana <ana@example.org>"}),
    ("reminder", {"from": "Ana <ana.772357.reminder@member.theknot.com>"}),
    ("reminder", {"from": "WeddingWire <messages@weddingwire.com>", "subject": "Don’t leave Ana hanging!"}),
    ("portal", {"from": "Bark <team@bark.com>", "reply_to": "Ana <ana@example.org>", "subject": "Wedding photography"}),
    ("portal", {"from": "WeddingWire <messages@weddingwire.com>", "subject": "Your storefront in July"}),
    ("portal", {"from": "The Knot <leads@theknot.com>"}),
    ("robot", {"from": "Parcels <noreply@parcel.example>"}),
    ("robot", {"from": "WordPress <wordpress@studio.example>"}),
    ("robot", {"from": "Shop <no-reply@shop.example>", "reply_to": "Help <support@shop.example>"}),
    ("own_mail", {"from": "Studio <Hello@Studio.example>"}),
]


@pytest.mark.parametrize(("reason", "mail"), MACHINES)
def test_a_machine_is_recognized_by_its_markers(reason: str, mail: dict[str, Any]) -> None:
    sender = judged(*mail.get("labels", ()), **{name: value for name, value in mail.items() if name != "labels"})
    assert (sender.reason, sender.is_person) == (reason, False)


def test_each_rule_matches_a_mail() -> None:
    assert {reason for reason, _ in MACHINES} == {rule.reason for rule in RULES if rule.reason}
    assert all(rule.source for rule in RULES if rule.reason not in ("", "own_mail"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"auto_submitted": "no"},
        {"x_autoreply": "no"},
        {"x_auto_response_suppress": "All"},
        {"precedence": "first-class"},
        {"return_path": "<ana@example.org>"},
        {"content_type": "multipart/alternative; boundary=b"},
        {"subject": "Out of office portraits"},
        {"reply_to": "ana@example.org"},
        {"reply_to": "Ana at work <ana@office.example>"},
        {"reply_to": "not an address"},
        {"list_id": "<bookings.studio.example>", "precedence": "list", "list_unsubscribe": "<mailto:x@studio.example>"},
    ],
)
def test_a_person_who_wrote_is_the_contact(headers: dict[str, str]) -> None:
    assert judged(**headers) == person(*ANA)


@pytest.mark.parametrize(
    "headers",
    [
        {"from": "Site <no-reply@host.example>"},
        {"from": "Site <no-reply@host.example>", "list_unsubscribe": "<https://host.example/u>"},
        {"from": "Site <wordpress@studio.example>", "auto_submitted": "auto-generated"},
        {"from": "Site <www-data@server12.host.example>", "precedence": "bulk", "return_path": "<>"},
        {"from": "Linden & Light <hello@studio.example>"},
        {"from": "Website <site@studio.example>"},
        {"from": "Kontakt <kontaktformular@host.example>"},
        {"from": "Studio <lena@host.example>", "x_mailer": "PHPMailer 6.9.1 (https://github.com/PHPMailer/PHPMailer)"},
        {"from": "Studio <lena@host.example>", "x_php_originating_script": "33:form.php"},
        {"from": "Squarespace <form-submission@squarespace.info>"},
        {"from": "Formspree <noreply@formspree.io>"},
        {"from": "Portal <enquiries@portal.example>", "list_unsubscribe": "<https://portal.example/u>"},
    ],
)
@pytest.mark.parametrize("label", ["INBOX", "CATEGORY_UPDATES"])
def test_the_person_behind_a_form_or_portal_is_the_contact(headers: dict[str, str], label: str) -> None:
    found = judged(label, **headers, reply_to="Ana Ruiz <ana@example.org>")
    assert found == person(*ANA, relayed=True, form=True)


@pytest.mark.parametrize("label", ["INBOX", "CATEGORY_UPDATES"])
def test_a_group_of_the_studio_is_no_form(label: str) -> None:
    group = {"from": "'Ana Ruiz' via Bookings <bookings@studio.example>", "list_id": "<bookings.studio.example>"}
    assert judged(label, **group, reply_to="Ana Ruiz <ana@example.org>") == person(*ANA, relayed=True)


def test_a_group_names_the_person_it_wrote_for() -> None:
    group = {"list_id": "<bookings.lists.example>", "precedence": "list", "list_unsubscribe": "<x>"}
    bare = judged(**{"from": "'Sean O'Brien' via Bookings <b@lists.example>"}, **group, reply_to="sean@example.org")
    assert bare == person("Sean O'Brien", "sean@example.org", relayed=True)
    without = judged(**{"from": "Sean via Bookings <b@lists.example>"}, **group, x_original_from="Sean <s@example.org>")
    assert without == person("Sean", "s@example.org", relayed=True)


@pytest.mark.parametrize(
    "sender", ["no-reply-forms@webflow.com", "notifications@wix-forms.com", "contact-form@host.example"]
)
def test_an_anonymous_form_was_still_filled_in_by_a_person(sender: str) -> None:
    assert judged("CATEGORY_UPDATES", **{"from": f"Site <{sender}>"}) == person(None, None, relayed=True, form=True)


def test_a_portal_address_stands_for_one_couple_or_for_all() -> None:
    couple = "Ana Ruiz <ana.ruiz.2.772357@member.theknot.com>"
    marked = {"list_unsubscribe": "<x>", "reply_to": "WeddingWire <user-1@reply.weddingwire.com>"}
    assert judged(**{"from": couple}, **marked) == person("Ana Ruiz", "ana.ruiz.2.772357@member.theknot.com", form=True)
    says = {"from": "WeddingWire <messages@weddingwire.com>", "subject": "Ana says: Hello"}
    assert judged(**says, **marked) == person(None, None, form=True)
    assert judged(**{"from": "Yelp <reply+1a2b@messaging.yelp.com>"}) == person(None, None, form=True)


def test_what_answers_the_studio_through_a_portal_is_a_persons() -> None:
    portal = {"from": "WeddingWire <messages@weddingwire.com>", "subject": "Re: Your message"}
    assert not judged(**portal).is_person
    assert judged(**portal, in_reply_to="<m1@studio.example>") == person(None, None, form=True)


@pytest.mark.parametrize(
    ("sender", "text", "address"),
    [
        ("notifications@wix-forms.com", "Full Name : Ana Email : ana@example.org Message : Hello", "ana@example.org"),
        ("no-reply-forms@webflow.com", "E-Mail-Adresse: ana@example.org Nachricht: Hallo", "ana@example.org"),
        ("wordpress@elsewhere.example", "From: Ana Ruiz <ana@example.org> Subject: Wedding", None),
        ("weddingvendors@zola.com", "Ana & Ben sent you an inquiry! Email: ana@example.org", "ana@example.org"),
        ("notifications@wix-forms.com", "Email : hello@studio.example Message : Hello", None),
        ("notifications@wix-forms.com", "Message : Hello", None),
    ],
)
def test_a_form_without_a_reply_to_may_name_the_person_in_its_text(sender: str, text: str, address: str | None) -> None:
    found = who_wrote(Head({"from": sender, "to": OWN}, text=text), [OWN])
    assert found.contact.address == address or (address is None and not found.is_person)


@pytest.mark.parametrize(
    "reply_to",
    [
        "hello@studio.example",
        "Studio <hello+form@studio.example>",
        "lena@studio.example",
        "no-reply@elsewhere.example",
        "forms@elsewhere.example",
        "user-1@reply.weddingwire.com",
        "site <noreply@host.example>",
        "nobody",
    ],
)
def test_a_reply_to_of_the_studio_or_a_machine_names_no_person(reply_to: str) -> None:
    assert not judged(**{"from": "Site <noreply@host.example>"}, reply_to=reply_to).is_person


def test_public_mail_hosts_are_not_organisations() -> None:
    own = ["linden.light@gmail.com"]
    form = head(**{"from": "Site <lindenlight+web@googlemail.com>", "reply_to": "Ana Ruiz <ana@gmail.com>"})
    assert who_wrote(form, own) == person("Ana Ruiz", "ana@gmail.com", relayed=True, form=True)
    assert who_wrote(head(**{"from": "ana@gmail.com"}), own) == person(None, "ana@gmail.com")


@pytest.mark.parametrize(("one", "other", "same"), [
    ("Linden.Light+x@gmail.com", "lindenlight@googlemail.com", True),
    ("a.na@example.org", "ana@example.org", False),
])  # fmt: skip
def test_addresses_of_one_mailbox_are_equal(one: str, other: str, same: bool) -> None:
    assert (mailbox_of(one) == mailbox_of(other)) is same


@pytest.mark.parametrize(("one", "other", "same"), [
    ("a@mail.shop.example", "b@shop.example", True),
    ("a@shop.co.uk", "b@other.co.uk", False),
    ("a@m.shop.co.uk", "b@shop.co.uk", True),
    ("a@gmail.com", "b@gmail.com", False),
    ("", "", False),
])  # fmt: skip
def test_organisations_are_distinguished_by_their_domain(one: str, other: str, same: bool) -> None:
    assert is_same_organisation(one, other) is same


@pytest.mark.parametrize("local", ["no-reply", "noreply", "donotreply", "forms-noreply", "ne-pas-repondre", "bounces"])
def test_an_unattended_address_is_a_robots(local: str) -> None:
    assert is_robot(f"{local}@x.example")
    assert not is_robot("norma.reply@x.example")


def test_automatic_mail_in_a_persons_name_is_not_their_answer() -> None:
    own = {"from": f"Studio <{OWN}>", "to": "ana@example.org"}
    assert is_automatic(head("SENT", **own, auto_submitted="auto-replied", precedence="bulk"))
    assert is_automatic(head("SENT", **own, auto_submitted="auto-generated", reply_to="crm@elsewhere.example"))
    assert not is_automatic(head("SENT", **own, list_unsubscribe="<x>"))


@given(
    st.dictionaries(st.sampled_from([name.lower() for name in HEADERS]), st.text(max_size=40)),
    st.sets(st.sampled_from(CATEGORIES)),
)
def test_any_header_is_classified(headers: dict[str, str], labels: set[str]) -> None:
    sender = who_wrote(Head(headers, frozenset(labels)), [OWN, ""])
    assert sender.reason in {rule.reason for rule in RULES}

"""What a mail address itself reveals: whose it is, and whether a person reads it."""

import re
from functools import lru_cache

SHARED_HOSTS = re.compile(
    r"(?:gmail|googlemail|icloud|me|mac|aol|proton|protonmail|pm|zoho|mail|gmx|web|t-online|freenet|posteo|mailbox"
    r"|orange|wanadoo|free|laposte|sfr|libero|virgilio|tiscali|alice|uol|bol|terra|sapo|bluewin|telefonica"
    r"|comcast|verizon|att|sbcglobal|btinternet|sky|qq|163|yandex)\.[a-z]{2,3}(?:\.[a-z]{2})?"
    r"|(?:outlook|hotmail|live|msn|yahoo|ymail|rocketmail)\.[a-z]{2,3}(?:\.[a-z]{2})?"
)
"""Public mailbox providers: two addresses at one of them are unrelated."""

_GOOGLE = frozenset({"gmail.com", "googlemail.com"})
_NO_REPLY = re.compile(
    r"(?:no|not|n[aã]o|ne[-_.]?pas|nicht|keine?)[-_.]?(?:reply|replay|respond|repond|rispond|respuesta|antwort)"
)
_ROBOT = re.compile(
    r"mailer|mail(?:er)?-daemon|postmaster|notifications?|notify|notices?|alerts?|automated|auto-?(?:mail(?:er)?|confirm)"
    r"|bounces?|robot|bot|system|server|daemon|root|nobody|www|www-data|apache|nginx|wordpress|wp|newsletter"
)
_FORM = re.compile(
    r"(?:contact|kontakt|web)?[-_.]?form(?:s|ular|ulaire|ulario)?|form[-_.]?(?:submissions?|mail(?:er)?|handler|responses)"
    r"|formresponses|submissions?|website"
)
_ROLE = re.compile(
    r"(?:customer|kunden)?[-_.]?(?:service|support|care)|help|info|hello|contact|kontakt|contacto|contatti|contato|office|team|mail"
    r"|sales|orders?|shop|billing|accounts?|feedback|reply|replies|news|marketing|press|editor|reservations?|bookings?"
)


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].casefold()


def is_robot(address: str) -> bool:
    """Whether mail to it goes unread."""
    local = _local(address)
    return _NO_REPLY.search(local) is not None or _ROBOT.fullmatch(local) is not None


def is_form(address: str) -> bool:
    """Whether a website's form sends from it."""
    return _FORM.fullmatch(_local(address)) is not None


def is_role(address: str) -> bool:
    """Whether it belongs to a role and not to one person."""
    return _ROLE.fullmatch(_local(address)) is not None


def mailbox_of(address: str) -> str:
    """The same for all addresses that deliver to one mailbox, ignoring a plus suffix; for Gmail's dots:
    https://support.google.com/mail/answer/7436150"""
    local, domain = _local(address).partition("+")[0], domain_of(address)
    return f"{local.replace('.', '')}@gmail.com" if domain in _GOOGLE else f"{local}@{domain}"


def is_same_organisation(one: str, other: str) -> bool:
    ours = organisation_of(one)
    return bool(ours) and ours == _organisation(domain_of(other))


def organisation_of(address: str) -> str:
    """The domain that belongs to the address's owner; empty at a public mailbox provider."""
    return _owned(domain_of(address))


@lru_cache(maxsize=1024)
def _owned(domain: str) -> str:
    return "" if SHARED_HOSTS.fullmatch(domain) else _organisation(domain)


def _local(address: str) -> str:
    return address.rpartition("@")[0].casefold()


def _organisation(domain: str) -> str:
    """`studio.example` of `mail.studio.example`, and `studio.co.uk` of `mail.studio.co.uk`."""
    labels = domain.split(".")
    is_deep = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3:] if is_deep else labels[-2:])

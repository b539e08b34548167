"""Which URLs of studios may be called: https to hosts on the public internet, however a URL spells their addresses."""

import ipaddress
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult

from chalicelib.security.outbound_messages import Failure
from chalicelib.urls import split_url

MAX_URL_LENGTH = 2048
PORTS = {"http": 80, "https": 443}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Python 3.11 considers it public; clouds have metadata services there: iana.org, IPv4 Special-Purpose Address Registry.
PROTOCOL_ASSIGNMENTS = ipaddress.ip_network("192.0.0.0/24")
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


class Refused(Exception):
    """The URL is not called; the message says why and names no address."""

    def __init__(self, problem: str, failure: Failure = "url_refused") -> None:
        self.failure: Failure = failure
        super().__init__(problem)


def problem_of_url(url: str, *, loopback: bool) -> str:
    """Why this URL would never be called, as far as known without resolving its host; empty if it may be."""
    try:
        parts, _ = split(url, loopback=loopback)
        judge(parts.hostname or "", loopback=loopback)
    except Refused as refused:
        return str(refused)
    except ValueError:
        return ""  # a name, not an address: checked once it is resolved
    return ""


def split(url: str, *, loopback: bool) -> tuple[SplitResult, int]:
    """The URL's parts and its port. `loopback` allows this machine, and http to it. Raises Refused."""
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("is not a plain URL")
    parts = split_url(url)
    if parts is None:
        raise Refused("is not a URL")
    port = parts.port or PORTS.get(parts.scheme, 0)
    plain = loopback and parts.scheme == "http" and parts.hostname in LOOPBACK
    if not (parts.scheme == "https" and parts.hostname) and not plain:
        raise Refused("must be an https URL with a host")
    if not loopback and port != PORTS["https"]:
        raise Refused("must use port 443")  # no studio needs another, and a server's other ports are nobody's business
    if "@" in parts.netloc or "#" in url:
        raise Refused("must have neither a user name nor a fragment")
    return parts, port


def judge(text: str, *, loopback: bool) -> None:
    """Raises Refused for an address that is not on the public internet, ValueError for a text that is no address."""
    address = _inner(ipaddress.ip_address(text))
    if loopback and address.is_loopback:
        return
    if not address.is_global or address.is_multicast or address.is_reserved or address in PROTOCOL_ASSIGNMENTS:
        raise Refused("the host is not on the public internet", "address_refused")


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address embedded in an IPv6 one."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(address.packed[-4:])
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address

"""docs/launch.md: the texts to submit cover what the product requests, and the URLs to register are those it serves."""

import re

import pytest

from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.registry import NAMES, get_platform
from tests.conftest import ROOT

LAUNCH = (ROOT / "docs" / "launch.md").read_text()
JUSTIFICATIONS = LAUNCH.split("## Texts")[1].split("### Limited Use")[0]
JUSTIFIED = set(re.findall(r"`([^`]+)`", "".join(re.findall(r"^\*\*.+\*\*$", JUSTIFICATIONS, re.MULTILINE))))
URLS = LAUNCH.split("## URLs to register")[1].split("## Pages")[0]

with_consent = pytest.mark.parametrize("name", [name for name in NAMES if get_platform(name).oauth])


def requested_scopes(platform: Platform) -> set[str]:
    identity = platform.oauth.identity_scopes if platform.oauth else ()
    return {*identity, *(scope for stream in platform.streams for scope in stream.asked_scopes)}


@with_consent
def test_every_scope_that_an_authorization_requests_has_a_justification(name: str) -> None:
    assert requested_scopes(get_platform(name)) <= JUSTIFIED


def test_no_justification_is_for_a_scope_that_nothing_requests() -> None:
    assert set[str]().union(*(requested_scopes(get_platform(name)) for name in NAMES)) == JUSTIFIED


@with_consent
def test_every_redirect_uri_and_webhook_is_listed_for_registration(name: str) -> None:
    senders = [sender.name for sender in get_platform(name).webhooks]
    expected = {f"{{PUBLIC_URL}}/api/oauth/{name}/callback"} | {
        f"{{PUBLIC_URL}}/api/webhooks/{name}/{sender}" for sender in senders
    }
    assert {url for url in re.findall(r"`(\{PUBLIC_URL\}/[^`]+)`", URLS) if f"/{name}/" in url} == expected


def test_every_cited_source_is_listed_and_every_listed_source_is_cited() -> None:
    text, sources = LAUNCH.split("## Sources")
    cited = {key for group in re.findall(r"\[((?:[A-Z]\d+(?:, )?)+)\]", text) for key in group.split(", ")}
    assert cited == set(re.findall(r"^\| ([A-Z]\d+) \|", sources, re.MULTILINE))

"""Webhooks by declaration: exactly what a platform declares is served and documented."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from chalicelib.api.webhooks import receiver_of
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.webhooks import (
    AccountEvent,
    ErasureReceipt,
    Report,
    ResponseFormat,
    Verifier,
    WebhookSender,
)
from chalicelib.platforms.registry import NAMES, get_platform
from chalicelib.runtime.declare import Route
from chalicelib.services.webhooks import handle_webhook
from dev.sandbox import Sandbox
from dev.sandbox.meta import signed_request
from tests.conftest import PUBLIC_URL, Api, Database, LogLines

SENDERS = [(platform, sender) for platform in map(get_platform, NAMES) for sender in platform.webhooks]
FORM = "application/x-www-form-urlencoded"
SECURITY_EVENTS = "/api/webhooks/google/security-events"
DEAUTHORIZE = "/api/webhooks/meta/deauthorize"
DATA_DELETION = "/api/webhooks/meta/data-deletion"


class Receipts(msgspec.Struct):
    urls: list[str]


def make_receipts(receipts: Any) -> Receipts:
    return Receipts([receipt.status_url for receipt in receipts])


def erase_each(body: bytes, now: datetime) -> Report:
    return Report(tuple(AccountEvent(id, now, "erased", "gone", "Gone") for id in body.decode().split()))


ERASER: WebhookSender[bytes, bytes] = WebhookSender(
    name="erasures",
    summary="Accounts that are gone",
    accepts="text/plain",
    body=bytes,
    verify=lambda body, verifier: body,
    parse=erase_each,
    status=200,
    response=ResponseFormat(make_receipts, Receipts),
)


def test_each_declared_sender_has_one_path(api: Api) -> None:
    paths = {path for path in api.get("/api/openapi.json").json["paths"] if path.startswith("/api/webhooks/")}
    assert paths == {SECURITY_EVENTS, DEAUTHORIZE, DATA_DELETION, DATA_DELETION + "/{code}"}


@pytest.mark.parametrize(
    ("path", "accepts", "status", "refusal"),
    [
        (SECURITY_EVENTS, "application/secevent+jwt", "202", ("application/json", "EventRefused")),
        (DEAUTHORIZE, FORM, "204", ("application/problem+json", "Problem")),
        (DATA_DELETION, FORM, "200", ("application/problem+json", "Problem")),
    ],
)
def test_each_sender_has_its_own_description(
    api: Api, path: str, accepts: str, status: str, refusal: tuple[str, str]
) -> None:
    operation = api.get("/api/openapi.json").json["paths"][path]["post"]
    assert list(operation["requestBody"]["content"]) == [accepts]
    assert [each for each in operation["responses"] if each < "300"] == [status]
    assert (operation["parameters"], operation["security"]) == ([], [])
    ((media_type, described),) = operation["responses"]["400"]["content"].items()
    assert (media_type, described["schema"]["$ref"].rpartition("/")[2].rpartition(".")[2]) == refusal


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/webhooks/myspace/deauthorize", "unknown_platform"),
        ("/api/webhooks/yelp/deauthorize", "webhook_not_found"),
        ("/api/webhooks/google/deauthorize", "webhook_not_found"),
        ("/api/webhooks/meta/Deauthorize", "webhook_not_found"),
        ("/api/webhooks/meta/%00", "webhook_not_found"),
    ],
)
def test_undeclared_senders_are_not_found(api: Api, path: str, code: str) -> None:
    answer = api.send("POST", path, b"x", {"Authorization": "", "Content_Type": FORM})
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert answer.json["code"] == code


def test_a_receipt_is_found_only_at_the_sender_that_issued_it(api: Api, platforms: Sandbox) -> None:
    form = {"Authorization": "", "Content_Type": FORM}
    answer = api.send("POST", DATA_DELETION, f"signed_request={signed_request('1')}".encode(), form)
    code = answer.json["confirmation_code"]
    assert api.get(f"{DATA_DELETION}/{code}", Authorization="").status == 200
    for path in (DEAUTHORIZE, SECURITY_EVENTS):
        other = api.get(f"{path}/{code}", Authorization="")
        assert (other.status, other.json["code"]) == (404, "deletion_not_found")


def test_other_methods_than_the_senders_are_rejected(api: Api) -> None:
    answer = api.get(DEAUTHORIZE, Authorization="")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_the_log_names_the_senders_own_path(api: Api, platforms: Sandbox, log_lines: LogLines) -> None:
    form = {"Authorization": "", "Content_Type": FORM}
    api.send("POST", DEAUTHORIZE, f"signed_request={signed_request('1')}".encode(), form)
    (handled,) = log_lines.named("webhook.handled")
    assert (handled["platform"], handled["sender"], handled["kinds"]) == ("meta", "deauthorize", ["deauthorize"])
    assert [done["route"] for done in log_lines.named("request.done")] == [DEAUTHORIZE]


def test_erasing_several_accounts_returns_a_receipt_for_each(clean_database: Database, platforms: Sandbox) -> None:
    platform = Platform(name="meta", title="Meta", webhooks=(ERASER,))
    route: Route = receiver_of(platform, ERASER)
    urls = route.handler(body=b"1 2").urls
    assert len(set(urls)) == 2
    assert all(url.startswith(f"{PUBLIC_URL}/api/webhooks/meta/erasures/") for url in urls)
    assert (route.status, route.accepts, route.body, route.returns) == (200, "text/plain", bytes, Receipts)
    assert (route.handler.__name__, route.handler.__doc__) == ("receive_meta_erasures", "Accounts that are gone")


def test_unverified_requests_are_not_parsed(clean_database: Database) -> None:
    class Unsigned(Exception):
        pass

    def verify(body: bytes, verifier: Verifier) -> bytes:
        raise Unsigned

    sender = msgspec.structs.replace(ERASER, verify=verify, parse=lambda payload, now: pytest.fail("it was parsed"))
    with pytest.raises(Unsigned):
        handle_webhook(get_platform("meta"), sender, b"1")


@pytest.mark.parametrize(("platform", "sender"), SENDERS, ids=lambda each: each.name)
def test_a_senders_name_must_be_valid_in_a_path(platform: Platform, sender: WebhookSender[Any, Any]) -> None:
    assert sender.name.replace("-", "").isalnum()
    assert sender.name == sender.name.lower()
    assert platform.get_webhook(sender.name) is sender
    assert sender.summary


def test_metas_receipt_has_the_required_format() -> None:
    response = get_platform("meta").get_webhook("data-deletion").response
    assert response
    receipt = response.make([ErasureReceipt("code", "https://api.example/code")])
    assert msgspec.to_builtins(receipt) == {"url": "https://api.example/code", "confirmation_code": "code"}

"""Plants secrets, exercises everything, then searches every place a secret could have leaked to."""

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from app import API
from chalicelib import logs
from chalicelib.api.openapi import describe
from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.data_keys import LIST_DATA_KEYS
from chalicelib.data.pending_grants import FIND_PENDING_GRANT, LIST_PENDING_GRANTS
from chalicelib.data.postgres.database import close_pool, read
from chalicelib.runtime.declare import PUBLIC
from chalicelib.security.vault import AssociatedData, vault
from chalicelib.services.connections.refresh import enqueue_due_refreshes
from chalicelib.services.connections.tokens import open_grant, open_tokens
from chalicelib.services.pending_grants import enqueue_expired_grants
from chalicelib.services.scheduling.schedules import start_due_runs
from chalicelib.services.webhook_deliveries import enqueue_due_deliveries
from chalicelib.settings import get_settings
from dev.sandbox import CLIENT_SECRET
from tests import canary
from tests.browser import code_of, decide, query_of
from tests.canary import ACCESS, DATABASE_PASSWORD, MISPLACED, REFRESH, Drive, Evidence, dump, forms
from tests.conftest import Answer, Database
from tests.http_fake import Fake, Reply, http_fake

drive = canary.drive

TOKEN_PATHS = {"google": "/token", "meta": "/v26.0/oauth/access_token", "pinterest": "/v5/oauth/token"}
REVOCATION_PATHS = ("/revoke", "/v26.0/me/permissions")
EVERY_TABLE_IN_USE = ("api_key", "booking", "data_key", "idempotency_key", "inquiry", "platform_connection", "sync_log")


def connect(drive: Drive) -> None:
    tokens = {"accessToken": ACCESS, "refreshToken": REFRESH, "expiresIn": 3600}
    assert (
        drive.call("POST", "/api/connections", {"platform": "pinterest", **tokens}, Idempotency_Key="m").status == 201
    )
    assert (
        drive.call("POST", "/api/connections", {"platform": "pinterest", **tokens}, Idempotency_Key="m").status == 201
    )
    assert drive.call("POST", "/api/connections", {"platform": "pinterest", **tokens}).status == 422
    grant = drive.grant()
    assert drive.call("POST", "/api/connections", {"platform": "google", **grant}).status == 201
    assert drive.call("POST", "/api/connections", {"platform": "google", **grant}).status == 409
    drive.remember_stored_tokens()


def read_everything(drive: Drive) -> None:
    endpoint_id = drive.api.post("/api/webhook-endpoints", {"url": "https://studio.example/hook"}).json["id"]
    ids = {
        "run_id": drive.api.get("/api/sync/log").json["items"][0]["id"],
        "endpoint_id": endpoint_id,
        "delivery_id": drive.api.post(f"/api/webhook-endpoints/{endpoint_id}/test").json["id"],
        "account_id": drive.api.get("/api/connections/google/accounts").json["items"][0]["id"],
        "code": "0" * 32,
    }
    for group in [*API, describe(API)]:
        for route in group:
            if route.method == "GET":
                answer = drive.call("GET", route.path.format(platform="google", **ids))
                assert answer.status == 200 or (route.scope == PUBLIC and "{" in route.path)
    drive.call("PUT", "/api/sync/google/schedule", {"syncType": "bookings", "frequency": "hourly"})
    drive.call("DELETE", "/api/sync/google/schedule?syncType=bookings")
    drive.call("DELETE", f"/api/webhook-endpoints/{endpoint_id}")


def put_tokens_where_they_do_not_belong(drive: Drive) -> None:
    token = MISPLACED
    for path in (f"/api/connections/{token}", f"/api/sync/log/{token}", f"/api/metrics/{token}"):
        drive.call("GET", path)
    for query in ("limit", "cursor", "status", "syncType", "platform", "access_token"):
        drive.call("GET", f"/api/sync/log?{query}={token}")
        drive.call("GET", f"/api/metrics/overview?from={token}&{query}={token}&{query}={token}")
    whole = {"platform": "yelp", "accessToken": token, "refreshToken": token, "expiresIn": 60}
    for name in ("platform", "expiresIn", "expiresAt", "scopes", "surprise"):
        drive.call("POST", "/api/connections", {**whole, name: token})
    for name in ("accessToken", "refreshToken"):
        for value in (f"{token}\n", f"{token}\0", [token], {"token": token}, token * 300):
            drive.call("POST", "/api/connections", {**whole, name: value})
            drive.call("PUT", "/api/connections/google", {name: value})
    drive.call("POST", "/api/sync/google", {"syncType": token})
    drive.call("PUT", "/api/sync/google/schedule", {"syncType": "bookings", "frequency": token})
    for body in (f'{{"accessToken": "{token}', f'"{token}"', f'{{"accessToken": "{token}\\ud800"}}', token * 9000):
        drive.call("POST", "/api/connections", body.encode())
    drive.call("POST", "/api/connections", whole, Content_Type=f"text/{token}")
    drive.call("PATCH", f"/api/connections/{token}")
    for scheme in ("Bearer", "Basic", ""):
        drive.call("GET", "/api/connections", Authorization=f"{scheme} {token}".strip())


def use_the_platform_while_it_fails(drive: Drive) -> None:
    assert drive.call("POST", "/api/connections/google/test").json["valid"] is True
    for status in (400, 403, 404, 429, 500, 503):
        drive.echo(status)
        answer = drive.call("POST", "/api/connections/google/test")
        assert answer.status == 503 if status == 429 else answer.json["valid"] is False
        drive.end_pauses()
    for kind in ("reset", "truncate"):
        drive.platforms.add_fault(kind=kind, times=None)
        drive.call("POST", "/api/connections/google/test")
        drive.platforms.clear_faults()
        drive.end_pauses()
    drive.sync()
    for status in (400, 403, 500):
        drive.echo(status, times=2)
        drive.sync()
        drive.platforms.clear_faults()


def refresh_tokens(drive: Drive) -> None:
    drive.superuser.run("UPDATE platform_connection SET token_expires_at = now() WHERE platform = 'google'")
    drive.echo_of_oauth(500, "/token", CLIENT_SECRET)
    drive.call("POST", "/api/connections/google/test")
    assert drive.call("POST", "/api/connections/google/test").json["valid"] is True
    drive.remember_stored_tokens()
    drive.echo(401)
    drive.call("POST", "/api/connections/google/test")
    drive.remember_stored_tokens()
    drive.echo_of_oauth(500, "/token", CLIENT_SECRET)
    for _ in range(2):
        drive.superuser.run("UPDATE platform_connection SET refresh_at = now() WHERE platform = 'google'")
        enqueue_due_refreshes()
        drive.work()
    drive.remember_stored_tokens()
    assert drive.outcomes >= {"refreshed", "failed"}


def break_the_grant_and_mend_it(drive: Drive) -> None:
    drive.platforms.google.revoke("studio")
    drive.sync()
    assert drive.call("GET", "/api/connections/google").json["status"] == "revoked"
    bad = {"accessToken": ACCESS, "refreshToken": REFRESH}
    assert drive.call("PUT", "/api/connections/google", bad).status == 200
    for status in (400, 500):
        drive.echo(status)
        drive.call("POST", "/api/connections/google/test")
    assert drive.call("POST", "/api/connections/google/test").json["valid"] is False
    assert drive.call("PUT", "/api/connections/google", drive.grant()).status == 200
    drive.superuser.run("UPDATE sync_schedule SET next_run_at = now()")
    start_due_runs()
    drive.work()


def break_the_product(drive: Drive) -> None:
    tokens = {"accessToken": ACCESS, "refreshToken": REFRESH}
    drive.superuser.run("ALTER TABLE sync_schedule RENAME TO gone")
    drive.call("POST", "/api/connections", {"platform": "pinterest", **tokens})
    drive.superuser.run("ALTER TABLE gone RENAME TO sync_schedule")
    drive.superuser.run("ALTER TABLE platform_connection RENAME COLUMN token_generation TO gone")
    drive.call("PUT", "/api/connections/google", tokens)
    drive.superuser.run("ALTER TABLE platform_connection RENAME COLUMN gone TO token_generation")
    drive.platforms.google.expire_sync_tokens("studio")
    drive.superuser.run("ALTER TABLE booking RENAME TO gone")
    drive.sync()
    drive.superuser.run("ALTER TABLE gone RENAME TO booking")
    drive.superuser.run("UPDATE platform_connection SET refresh_token = access_token WHERE platform = 'google'")
    drive.call("POST", "/api/connections/google/test")
    drive.sync()


def lose_the_database(drive: Drive, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    close_pool()
    with monkeypatch.context() as environ:
        url = database.url("ansel_joint").replace(database.passwords["ansel_joint"], DATABASE_PASSWORD)
        environ.setenv("DATABASE_URL", url)
        get_settings.cache_clear()
        drive.evidence.add("settings", repr(get_settings()))
        drive.call("GET", "/api/connections")
        close_pool()
    get_settings.cache_clear()


def disconnect(drive: Drive) -> None:
    for platform in ("google", "pinterest"):
        assert drive.call("DELETE", f"/api/connections/{platform}").status == 204
    grant = drive.grant()
    assert drive.call("POST", "/api/connections", {"platform": "google", **grant}).status == 201
    assert drive.call("POST", "/api/connections", {"platform": "google", **grant}).status == 409
    drive.echo_of_oauth(400, "/revoke")
    assert drive.call("DELETE", "/api/connections/google").status == 204
    grant = drive.grant()
    assert drive.call("POST", "/api/connections", {"platform": "google", **grant}).status == 201
    assert drive.call("POST", "/api/connections", {"platform": "google", **grant}).status == 409


def test_no_secret_leaks_anywhere(
    drive: Drive, database: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    connect(drive)
    use_the_platform_while_it_fails(drive)
    read_everything(drive)
    put_tokens_where_they_do_not_belong(drive)
    refresh_tokens(drive)
    break_the_grant_and_mend_it(drive)
    break_the_product(drive)
    lose_the_database(drive, database, monkeypatch)
    disconnect(drive)
    for row in dump(drive.superuser):
        drive.evidence.add("database", row)
    for text in capfd.readouterr():
        drive.evidence.add("output", text)

    assert drive.evidence.leaks(drive.secrets) == set()
    assert_everything_was_driven(drive)


def assert_everything_was_driven(drive: Drive) -> None:
    assert drive.statuses >= {200, 201, 202, 204, 400, 401, 404, 405, 409, 413, 415, 422, 500}
    assert drive.outcomes >= {"succeeded", "deferred", "failed", "crashed"}
    assert len(drive.secrets) >= 16
    events = b"\n".join(drive.evidence.places["event"])
    for event in (
        *(b"request.done", b"request.failed", b"run.stopped", b"run.crashed", b"tick.done"),
        *(b"token.refreshed", b"connection.created", b"connection.failed", b"connection.revocation_failed"),
    ):
        assert event in events, event
    stored = b"\n".join(drive.evidence.places["database"])
    assert all(f"public.{table} ".encode() in stored for table in EVERY_TABLE_IN_USE)
    assert drive.evidence.places["queue"]
    assert drive.evidence.places["exception"]


def tell_webhooks(drive: Drive, receiver: Fake) -> None:
    """The response that creates a webhook shows its secret: that response is no evidence, everything after it is."""
    receiver.on("/hook", Reply(status=500), Reply(status=200))
    endpoint = drive.api.post("/api/webhook-endpoints", {"url": f"{receiver.url}/hook"}).json
    key = base64.b64decode(endpoint["secret"].removeprefix("whsec_"))
    drive.secrets |= {"webhook secret": endpoint["secret"].removeprefix("whsec_"), "webhook key": key}
    drive.call("POST", "/api/webhook-endpoints", {"url": f"{receiver.url}/hook"})
    drive.call("POST", "/api/webhook-endpoints", {"url": f"{receiver.url}/other"}, Idempotency_Key="webhook_endpoint")
    drive.call("POST", f"/api/webhook-endpoints/{endpoint['id']}/test")
    drive.work()
    drive.platforms.google.revoke("studio")
    drive.sync()
    for message in drive.queue.receive():
        drive.evidence.add("queue", repr(message))
    enqueue_due_deliveries()
    for request in receiver.requests:
        drive.evidence.add("webhook_endpoint", f"{request.headers} {request.body}")
    drive.call("GET", "/api/webhook-endpoints")
    drive.call("DELETE", f"/api/webhook-endpoints/{endpoint['id']}")


def take_notices(drive: Drive) -> None:
    """Signed requests from platforms could be replayed by anyone who has them."""
    account = drive.call("GET", "/api/connections/google").json["accountId"]
    signed = drive.platforms.meta.signed_request("studio")
    event = drive.platforms.google.security_event(account="studio")
    assert account
    drive.secrets |= {"signed request": signed, "security event": event.rpartition(".")[2]}
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    code = drive.api.send("POST", "/api/webhooks/meta/data-deletion", f"signed_request={signed}".encode(), form).json
    drive.secrets["confirmation code"] = code["confirmation_code"]
    for callback in ("deauthorize", "data-deletion"):
        for sent in (
            f"signed_request={signed[:-4]}",
            f"signed_request={signed}&signed_request={signed}",
        ):
            drive.call("POST", f"/api/webhooks/meta/{callback}", sent.encode(), **form)
    drive.call("GET", f"/api/webhooks/meta/data-deletion/{code['confirmation_code']}")
    for sent in (event, event[:-4], f"{event}."):
        drive.call(
            "POST", "/api/webhooks/google/security-events", sent.encode(), Content_Type="application/secevent+jwt"
        )


def test_webhooks_in_either_direction_leak_no_secret(drive: Drive, delivery_function: Path) -> None:
    connect(drive)
    assert drive.call("POST", "/api/connections/google/test").json["valid"] is True
    take_notices(drive)
    assert drive.call("PUT", "/api/connections/google", drive.grant()).status == 200
    with http_fake() as receiver:
        tell_webhooks(drive, receiver)
        assert receiver.requests
    drive.evidence.add("delivery function", delivery_function.read_text())
    assert "delivery.attempted" in delivery_function.read_text()
    for row in dump(drive.superuser):
        drive.evidence.add("database", row)
    assert drive.evidence.leaks(drive.secrets) == set()
    events = b"\n".join(drive.evidence.places["event"])
    for event in (b"webhook_endpoint.created", b"webhook_endpoint.deleted", b"webhook.handled"):
        assert event in events, event


def consent(drive: Drive, platform: str, *, body: dict[str, str] | None = None, **choices: str) -> Answer:
    """The callback's response. The response that starts a consent contains the state, and this one may contain the
    completion code: neither is evidence, everything else is."""
    url = drive.api.post(f"/api/oauth/{platform}/authorize", body or {}).json["authorizeUrl"]
    path = decide(url, **choices)
    secrets = {name: value for name, value in query_of(path).items() if name in ("state", "code")}
    ((id, sealed),) = drive.superuser.run("SELECT id, verifier FROM oauth_state ORDER BY id DESC LIMIT 1") or []
    if sealed is not None:
        place = AssociatedData(drive.api.studio_id, "oauth_state", "verifier", id, 1)
        secrets["verifier"] = vault().open(sealed, read(drive.api.studio_id, LIST_DATA_KEYS), place).reveal()
    drive.secrets |= {f"{name} {len(drive.secrets)} of {platform}": value for name, value in secrets.items()}
    for status in (400, 500) if "auto" not in choices else ():
        echo = {"error": secrets["code"], "error_description": " ".join((secrets.get("verifier", ""), CLIENT_SECRET))}
        drive.platforms.add_fault(kind="status", status=status, body=echo, path=TOKEN_PATHS[platform], times=1)
    drive.call("GET", path.replace(f"/{platform}/", "/google/" if platform != "google" else "/meta/"), Authorization="")
    answer = drive.api.get(path, Authorization="")
    if code := code_of(answer):
        drive.secrets[f"completion code {len(drive.secrets)} of {platform}"] = code
    else:
        drive.evidence.add("response", f"{answer.headers}\n{answer.text}")
    drive.platforms.clear_faults()
    drive.call("GET", path, Authorization="")
    return answer


def complete(drive: Drive, platform: str, code: str) -> None:
    """Also when the code is useless, or was used before."""
    wrong = "meta" if platform == "google" else "google"
    for to, body in (
        (wrong, {"code": code}),
        (platform, {"code": code, "surprise": code}),
        (platform, {"code": [code]}),
    ):
        assert drive.call("POST", f"/api/oauth/{to}/complete", body).status in (400, 422)
    drive.superuser.run("ALTER TABLE sync_schedule RENAME TO gone")
    assert drive.call("POST", f"/api/oauth/{platform}/complete", {"code": code}).status == 500
    drive.superuser.run("ALTER TABLE gone RENAME TO sync_schedule")
    assert drive.call("POST", f"/api/oauth/{platform}/complete", {"code": code}).status == 200
    assert drive.call("POST", f"/api/oauth/{platform}/complete", {"code": code}).status == 400


def revoke_what_expired(drive: Drive, platform: str) -> None:
    """While the platform quotes the token that it received, and then while it works."""
    (pending,) = read(drive.api.studio_id, LIST_PENDING_GRANTS)
    stored = read(drive.api.studio_id, FIND_PENDING_GRANT, id=pending.id)
    assert stored is not None
    tokens = open_grant(stored)
    drive.secrets[f"pending access token of {platform}"] = tokens.access.reveal()
    sent = (tokens.refresh or tokens.access).reveal()
    drive.secrets[f"pending token of {platform}"] = sent
    echo = {"error": "server_error", "error_description": sent}
    for path in REVOCATION_PATHS:
        drive.platforms.add_fault(kind="status", status=500, body=echo, path=path)
    for _ in range(2):
        drive.superuser.run("UPDATE pending_grant SET due_at = now(), external_account_id = 'nobody else'")
        enqueue_expired_grants()
        drive.work()
    drive.platforms.clear_faults()
    assert drive.superuser.run("SELECT count(*) FROM pending_grant") == [[0]]


def put_codes_and_states_where_they_do_not_belong(drive: Drive) -> None:
    for query in ("state", "code", "error", "error_description", "scope"):
        drive.call("GET", f"/api/oauth/google/callback?{query}={MISPLACED}", Authorization="")
        drive.call("GET", f"/api/oauth/google/callback?{query}={MISPLACED}&{query}={MISPLACED}", Authorization="")
    state = query_of(drive.api.post("/api/oauth/google/authorize").json["authorizeUrl"])["state"]
    drive.call("GET", f"/api/oauth/google/callback?state={state}&error={MISPLACED}", Authorization="")
    for body in ({"code": MISPLACED}, {"code": MISPLACED * 9}, {"code": [MISPLACED]}):
        drive.call("POST", "/api/oauth/google/complete", body)
        drive.call("POST", f"/api/oauth/{MISPLACED}/complete?code={MISPLACED}", body)
    for field in ("streams", "returnTo", "surprise"):
        for value in (MISPLACED, [MISPLACED], f"https://app.studio.example/settings#{MISPLACED}"):
            drive.call("POST", "/api/oauth/google/authorize", {field: value})
    drive.superuser.run("ALTER TABLE oauth_state RENAME COLUMN used_at TO gone")
    drive.call("GET", f"/api/oauth/google/callback?state={MISPLACED}&code={MISPLACED}", Authorization="")
    drive.superuser.run("ALTER TABLE oauth_state RENAME COLUMN gone TO used_at")


def test_a_consent_leaks_no_secret(drive: Drive) -> None:
    return_to = {"returnTo": "https://app.studio.example/settings"}
    for platform in TOKEN_PATHS:
        assert consent(drive, platform).status >= 400
        assert consent(drive, platform, body=return_to).status == 303
        assert consent(drive, platform, auto="deny").status == 400
        consent(drive, platform, auto="approve")
        revoke_what_expired(drive, platform)
        complete(drive, platform, code_of(consent(drive, platform, body=return_to, auto="approve")))
        stored = read(drive.api.studio_id, FIND_STORED_CONNECTION, platform=platform, connection=None)
        assert stored is not None
        tokens = open_tokens(stored)
        drive.secrets[f"access token of {platform}"] = tokens.access.reveal()
        if tokens.refresh is not None:
            drive.secrets[f"refresh token of {platform}"] = tokens.refresh.reveal()
    put_codes_and_states_where_they_do_not_belong(drive)
    drive.work()
    for row in dump(drive.superuser):
        drive.evidence.add("database", row)
    assert drive.evidence.leaks(drive.secrets) == set()
    assert len(drive.secrets) > 55
    assert drive.outcomes >= {"revoked", "failed", "unsupported"}
    events = b"\n".join(drive.evidence.places["event"])
    for event in (
        b"authorization.failed",
        b"authorization.pending",
        b"authorization.completed",
        b"authorization.expired",
    ):
        assert event in events, event


@pytest.mark.parametrize("secret", [ACCESS, CLIENT_SECRET, "slash/plus+percent%equals=and more", bytes(range(32))])
def test_a_leak_is_found_in_any_form_at_any_offset(secret: str | bytes) -> None:
    raw = secret.encode() if isinstance(secret, str) else secret
    for before in (b"", b"a", b"ab", b"abc"):
        for leaked in (
            raw,
            raw[:20],
            raw[-20:],
            raw.hex().encode(),
            raw.hex().upper().encode(),
            base64.b64encode(before + raw + b"after"),
            base64.urlsafe_b64encode(before + raw),
            quote(raw, safe="").encode(),
        ):
            evidence = Evidence({"place": [b"nothing", before + leaked + b"after"]})
            assert evidence.leaks({"it": secret, "other": REFRESH}) == {("place", "it")}


def test_forms_are_too_long_to_occur_by_chance() -> None:
    assert min(len(form) for form in forms(ACCESS)) >= 16


def test_a_leak_through_each_channel_is_noticed(drive: Drive) -> None:
    connect(drive)
    logs.event("token.leaked", note=f"the token is {ACCESS}")
    try:
        raise ValueError(REFRESH)
    except ValueError as error:
        logs.event("request.failed", error=error)
    drive.superuser.run("UPDATE api_key SET name = :name", name=base64.b64encode(ACCESS.encode()).decode())
    drive.superuser.run("UPDATE data_key SET wrapped = :wrapped", wrapped=REFRESH.encode())
    drive.queue.sqs.send_message(QueueUrl=drive.queue.url, MessageBody=f'{{"token": "{ACCESS}"}}')
    for message in drive.queue.receive():
        drive.evidence.add("queue", repr(message))
    drive.superuser.run("UPDATE platform_connection SET external_account_name = :name", name=ACCESS)
    drive.call("GET", "/api/connections")
    for row in dump(drive.superuser):
        drive.evidence.add("database", row)
    assert drive.evidence.leaks({"access": ACCESS, "refresh": REFRESH}) == {
        *(("log", "access"), ("event", "access"), ("queue", "access"), ("response", "access"), ("database", "access")),
        *(("log", "refresh"), ("exception", "refresh"), ("database", "refresh")),
    }

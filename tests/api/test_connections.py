"""The connection routes, from the wire to the database."""

from datetime import timedelta

import pytest

from tests.calls import calls_of
from tests.conftest import Api, Studios, from_now

YELP_ALIAS = "linden-and-light-photography-berlin"
GOOGLE = {
    "platform": "google",
    "accessToken": "ya29.first",
    "refreshToken": "1//0first",
    "expiresIn": 3600,
    "scopes": ["https://www.googleapis.com/auth/calendar.readonly"],
}


def connect(api: Api, **changes: object) -> None:
    answer = api.post("/api/connections", {**GOOGLE, **changes})
    assert answer.status == 201, answer.text


def test_a_new_connection_is_returned_with_its_location_and_without_tokens(api: Api) -> None:
    answer = api.post("/api/connections", GOOGLE)
    connection = answer.json
    assert answer.status == 201
    assert answer.headers["Location"] == f"/api/connections/google?connection={connection['id']}"
    assert connection["platform"] == "google"
    assert connection["status"] == "active"
    assert connection["health"] == "healthy"
    assert connection["hasRefreshToken"] is True
    assert connection["scopes"] == GOOGLE["scopes"]
    expires_in = from_now(connection["tokenExpiresAt"])
    assert timedelta(minutes=59) < expires_in <= timedelta(hours=1)
    assert "ya29" not in answer.text
    assert "1//0" not in answer.text


def test_every_platform_can_be_connected(api: Api, platforms: object) -> None:
    for platform in ("google", "meta", "pinterest"):
        connect(api, platform=platform)
    assert api.post("/api/connections", {"platform": "yelp", "accountId": YELP_ALIAS}).status == 201
    assert api.post("/api/connections", {"platform": "website"}).status == 201
    listed = api.get("/api/connections").json
    assert [item["platform"] for item in listed["items"]] == ["google", "meta", "pinterest", "website", "yelp"]
    assert listed["nextCursor"] is None


def test_a_connection_is_made_without_resolving_the_types_of_its_fields(api: Api) -> None:
    connect(api)  # msgspec prepares a type once
    calls = calls_of(lambda: connect(api, platform="meta"))
    assert calls["create_connection"] > 0
    assert calls["get_class_annotations"] == calls["fields"] == 0


def test_connecting_twice_is_a_conflict_and_changes_nothing(api: Api) -> None:
    connect(api)
    before = api.get("/api/connections/google").json
    answer = api.post("/api/connections", {**GOOGLE, "accessToken": "ya29.other", "scopes": []})
    assert (answer.status, answer.json["code"]) == (409, "connection_exists")
    assert api.get("/api/connections/google").json == before


def test_an_unknown_platform_is_not_found_and_the_known_ones_are_listed(api: Api) -> None:
    for answer in (
        api.post("/api/connections", {**GOOGLE, "platform": "myspace"}),
        api.get("/api/connections/myspace"),
        api.put("/api/connections/myspace", {"accessToken": "ya29.x"}),
        api.delete("/api/connections/myspace"),
        api.post("/api/connections/myspace/test"),
        api.post("/api/sync/myspace"),
        api.get("/api/metrics/myspace"),
        api.get("/api/sync/log?platform=myspace"),
    ):
        assert (answer.status, answer.json["code"]) == (404, "unknown_platform")
        assert "google, meta, pinterest, yelp, website" in answer.json["detail"]


def test_an_update_without_a_refresh_token_keeps_the_current_one(api: Api) -> None:
    connect(api)
    before = api.get("/api/connections/google").json
    after = api.put("/api/connections/google", {"accessToken": "ya29.second", "expiresIn": 60})
    assert after.status == 200
    assert after.json["hasRefreshToken"] is True
    assert after.json["id"] == before["id"]
    assert after.json["scopes"] == before["scopes"]
    assert after.json["createdAt"] == before["createdAt"]
    assert after.json["tokenExpiresAt"] < before["tokenExpiresAt"]


def test_a_new_access_token_does_not_inherit_the_old_expiry(api: Api) -> None:
    connect(api)
    assert api.put("/api/connections/google", {"accessToken": "ya29.second"}).json["tokenExpiresAt"] is None


def test_an_empty_update_is_rejected(api: Api) -> None:
    connect(api)
    assert api.put("/api/connections/google", {}).status == 422


def test_an_unconnected_platform_cannot_be_read_updated_or_disconnected(api: Api) -> None:
    for answer in (
        api.get("/api/connections/google"),
        api.put("/api/connections/google", {"accessToken": "ya29.x"}),
        api.delete("/api/connections/google"),
        api.post("/api/connections/google/test"),
        api.post("/api/sync/google"),
        api.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": "daily"}),
    ):
        assert (answer.status, answer.json["code"]) == (404, "connection_not_found")


def test_reconnecting_after_a_disconnect_keeps_the_id(api: Api) -> None:
    connect(api, platform="meta")
    first = api.get("/api/connections/meta").json
    answer = api.delete("/api/connections/meta")
    assert (answer.status, answer.text) == (204, "")
    assert api.get("/api/connections/meta").status == 404
    assert api.get("/api/connections").json["items"] == []
    connect(api, platform="meta")
    assert api.get("/api/connections/meta").json["id"] == first["id"]


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"accessToken": ""}, "accessToken", "length"),
        ({"accessToken": 5}, "accessToken", "expected `str"),
        ({"accessToken": "has space"}, "accessToken", "matching"),
        ({"accessToken": "nul\0"}, "accessToken", "NUL"),
        ({"accessToken": "line\n"}, "accessToken", "line break"),
        ({"accessToken": "x" * 9000}, "accessToken", "length"),
        ({"refreshToken": "ä"}, "refreshToken", "matching"),
        ({"expiresIn": 0}, "expiresIn", ">= 1"),
        ({"expiresIn": "soon"}, "expiresIn", "expected `int"),
        ({"expiresIn": 10**30}, "expiresIn", ""),
        ({"expiresIn": None, "expiresAt": "tomorrow"}, "expiresAt", "RFC3339"),
        ({"expiresIn": None, "expiresAt": "2027-01-01T00:00:00"}, "expiresAt", "timezone"),
        ({"expiresAt": "2027-01-01T00:00:00Z"}, "expiresAt", "sent together"),
        ({"expiresIn": None, "expiresAt": "0001-01-01T00:00:00+23:00"}, "expiresAt", "between"),
        ({"scopes": "all"}, "scopes", "expected `array"),
        ({"scopes": ["fine", 1]}, "scopes[1]", "expected `str`"),
        ({"scopes": ["x"] * 101}, "scopes", "length"),
        ({"platform": None}, "platform", "expected `str`"),
        ({"surprise": 1}, "surprise", "not a known field"),
    ],
)
def test_an_invalid_value_is_named_and_nothing_is_stored(
    api: Api, changes: dict[str, object], field: str, problem: str
) -> None:
    answer = api.post("/api/connections", {**GOOGLE, **changes})
    assert answer.status == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    (error,) = answer.json["errors"]
    assert error["field"] == field
    assert problem in error["problem"]
    assert api.get("/api/connections").json["items"] == []


def test_all_invalid_fields_are_named_together(api: Api) -> None:
    answer = api.post("/api/connections", {"accessToken": 1, "expiresIn": "x", "other": None})
    assert [error["field"] for error in answer.json["errors"]] == ["other", "platform", "accessToken", "expiresIn"]


def test_a_token_in_the_wrong_field_is_not_echoed(api: Api) -> None:
    secret = "ya29.canary-in-the-wrong-field"
    for body in ({**GOOGLE, "expiresIn": secret}, {**GOOGLE, "scopes": secret}, {**GOOGLE, "expiresAt": secret}):
        assert secret not in api.post("/api/connections", body).text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b'{"platform": "google", "accessToken": "\\ud800"}', 400, "malformed_json"),
        (b'{"platform": NaN}', 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b"[]", 422, "invalid_input"),
        (b"null", 422, "invalid_input"),
        (b"", 422, "invalid_input"),
        (b'{"accessToken": "' + b"x" * 300_000 + b'"}', 413, "payload_too_large"),
    ],
)
def test_an_unreadable_body_is_rejected(api: Api, body: bytes, status: int, code: str) -> None:
    answer = api.post("/api/connections", body)
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_a_body_of_another_media_type_is_rejected(api: Api, content_type: str) -> None:
    answer = api.post("/api/connections", GOOGLE, Content_Type=content_type)
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


def test_json_with_a_charset_is_accepted(api: Api) -> None:
    assert api.post("/api/connections", GOOGLE, Content_Type="application/json; charset=utf-8").status == 201


def test_a_repeat_with_the_same_idempotency_key_gets_the_first_response(api: Api) -> None:
    first = api.post("/api/connections", GOOGLE, Idempotency_Key="connect-1")
    again = api.post("/api/connections", GOOGLE, Idempotency_Key="connect-1")
    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


def test_an_idempotency_key_of_another_request_is_rejected(api: Api) -> None:
    api.post("/api/connections", GOOGLE, Idempotency_Key="connect-1")
    answer = api.post("/api/connections", {**GOOGLE, "platform": "meta"}, Idempotency_Key="connect-1")
    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")


def test_a_rejected_request_does_not_use_up_its_idempotency_key(api: Api) -> None:
    assert api.post("/api/connections", {"platform": "google"}, Idempotency_Key="connect-1").status == 422
    assert api.post("/api/connections", GOOGLE, Idempotency_Key="connect-1").status == 201


def test_two_studios_may_use_the_same_idempotency_key(studios: Studios) -> None:
    for studio in (studios.new(), studios.new()):
        answer = studio.post("/api/connections", GOOGLE, Idempotency_Key="same")
        assert answer.status == 201
        assert "Idempotency-Replayed" not in answer.headers


@pytest.mark.parametrize("key", ["", "x" * 256, "line\u00e9"])
def test_a_malformed_idempotency_key_is_rejected(api: Api, key: str) -> None:
    assert api.post("/api/connections", GOOGLE, Idempotency_Key=key).status == 422


def test_a_connection_with_an_expired_unrefreshable_token_is_broken(api: Api) -> None:
    connect(api, refreshToken=None, expiresIn=None, expiresAt="2026-01-01T00:00:00Z")
    assert api.get("/api/connections/google").json["health"] == "broken"


def test_a_connection_whose_unrefreshable_token_expires_soon_is_degraded(api: Api) -> None:
    connect(api, refreshToken=None)
    assert api.get("/api/connections/google").json["health"] == "degraded"

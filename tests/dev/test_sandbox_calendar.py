"""Calendar v3 in the sandbox: lists, pages, filters, and incremental syncs that lose nothing."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from dev.sandbox.google import accounts
from tests.dev.sandbox_client import EVENTS, SandboxClient

TODAY = "2026-11-18"


def listed(client: SandboxClient, **params: str) -> list[Any]:
    return [event for page in client.pages(EVENTS, {"maxResults": "2500", **params}) for event in page["items"]]


def sync_token(client: SandboxClient) -> str:
    return str(client.get(EVENTS, {"maxResults": "2500"}).json["nextSyncToken"])


def test_the_studio_has_a_realistic_calendar(google: SandboxClient) -> None:
    events = listed(google, singleEvents="true")
    assert 40 < len(events) < 100
    assert {event["status"] for event in events} == {"confirmed", "tentative"}
    assert {event["eventType"] for event in events} == {"default", "birthday", "focusTime"}
    assert any(event.get("transparency") == "transparent" for event in events)
    assert any("date" in event["start"] for event in events)
    weddings = [event for event in events if event["summary"].startswith("Wedding ") and "attendees" in event]
    days = {datetime.fromisoformat(event["start"]["dateTime"]).strftime("%A") for event in weddings}
    assert days == {"Saturday"}
    starts = [event["start"]["dateTime"] for event in weddings]
    assert len([start for start in starts if "2026-10-18" < start < TODAY]) >= 3
    assert min(starts) < "2025-12-31" < "2027-09-01" < max(starts)
    assert len({event["id"] for event in events}) == len(events)


def test_pages_add_up_to_the_list_and_only_the_last_has_a_sync_token(google: SandboxClient) -> None:
    whole = listed(google)
    pages = google.pages(EVENTS, {"maxResults": "7"})
    assert [event for page in pages for event in page["items"]] == whole
    assert [("nextSyncToken" in page) for page in pages] == [False] * (len(pages) - 1) + [True]


def test_a_page_has_250_events_by_default_and_never_more_than_2500(google: SandboxClient) -> None:
    bulk = google.acting_for("bulk-2600")
    assert len(bulk.get(EVENTS).json["items"]) == 250
    assert len(bulk.get(EVENTS, {"maxResults": "9999"}).json["items"]) == 2500


def test_a_page_token_is_only_valid_with_its_parameters(google: SandboxClient) -> None:
    token = google.get(EVENTS, {"maxResults": "5"}).json["nextPageToken"]
    assert google.get(EVENTS, {"maxResults": "9", "pageToken": token}).status == 200
    for params in ({"pageToken": token, "showDeleted": "true"}, {"pageToken": "invented"}):
        assert google.get(EVENTS, params).status == 400


def test_a_bulk_account_has_as_many_events_as_its_name_says(google: SandboxClient) -> None:
    assert len({event["id"] for event in listed(google.acting_for("bulk-2600"))}) == 2600
    assert listed(google.acting_for("bulk-0")) == listed(google.acting_for("empty")) == []


def test_a_large_bulk_account_serves_its_first_page_without_generating_the_rest(google: SandboxClient) -> None:
    page = google.acting_for("bulk-9000000").get(EVENTS, {"maxResults": "10"}).json
    assert [event["summary"][-2:] for event in page["items"][:2]] == [" 0", " 1"]


def test_series_are_listed_as_instances_or_as_their_rule(google: SandboxClient) -> None:
    single, ruled = listed(google, singleEvents="true"), listed(google)
    (series,) = [event for event in ruled if "recurrence" in event]
    instances = [event for event in single if event.get("recurringEventId") == series["id"]]
    assert len(instances) == 7  # one of the eight was cancelled
    assert all(event["id"].startswith(series["id"] + "_") for event in instances)
    assert series not in single
    assert not [event for event in ruled if "recurringEventId" in event]


def test_cancelled_events_are_shown_only_on_request(google: SandboxClient) -> None:
    with_deleted = listed(google, singleEvents="true", showDeleted="true")
    cancelled = [event for event in with_deleted if event["status"] == "cancelled"]
    assert len(cancelled) == 3
    (sparse,) = [event for event in cancelled if "start" not in event]
    assert {"id", "recurringEventId", "originalStartTime"} <= set(sparse)
    assert not [event for event in listed(google, singleEvents="true") if event["status"] == "cancelled"]


def test_time_bounds_apply_to_the_end_and_the_start_of_events(google: SandboxClient) -> None:
    around = listed(google, singleEvents="true", timeMin="2026-11-14T18:00:00+01:00", timeMax="2026-11-14T18:30:00Z")
    assert [event["summary"][:7] for event in around] == ["Wedding"]
    after = listed(google, singleEvents="true", timeMin="2026-11-14T23:00:00+01:00", timeMax="2026-11-15T00:00:00Z")
    assert after == []


def test_events_can_be_ordered_and_filtered_by_type(google: SandboxClient) -> None:
    events = listed(
        google, singleEvents="true", orderBy="startTime", eventTypes="default", timeMin=f"{TODAY}T00:00:00Z"
    )
    starts = [datetime.fromisoformat(event["start"]["dateTime"]) for event in events if "dateTime" in event["start"]]
    assert starts == sorted(starts) != []
    assert {event["eventType"] for event in events} == {"default"}
    typed = google.get(EVENTS, [("eventTypes", "birthday"), ("eventTypes", "focusTime"), ("singleEvents", "true")]).json
    assert {event["eventType"] for event in typed["items"]} == {"birthday", "focusTime"}


def test_a_list_by_update_time_includes_deleted_events(google: SandboxClient) -> None:
    event = listed(google)[0]
    google.sandbox.google.delete_event(event["id"])
    found = listed(google, updatedMin="2026-11-01T00:00:00Z")
    assert event["id"] in {each["id"] for each in found if each["status"] == "cancelled"}


@pytest.mark.parametrize(
    "params",
    [
        {"maxResults": "many"},
        {"maxResults": "0"},
        {"singleEvents": "yes"},
        {"timeMin": "yesterday"},
        {"timeMin": "2026-11-18T00:00:00"},
        {"eventTypes": "wedding"},
        {"orderBy": "startTime"},
        {"calendar": "x"},
    ],
)
def test_a_bad_parameter_is_a_400_that_names_it(google: SandboxClient, params: dict[str, str]) -> None:
    answer = google.get(EVENTS, params)
    assert answer.status == 400
    assert answer.json["error"]["errors"][0]["location"] in params


def test_a_sync_returns_only_changes(google: SandboxClient) -> None:
    token = sync_token(google)
    assert google.get(EVENTS, {"syncToken": token}).json["items"] == []
    hand = google.sandbox.google
    changed, gone = (event["id"] for event in listed(google)[:2])
    added = hand.add_event({"summary": "Wedding Ada & Ben"})
    hand.update_event(changed, {"summary": "Moved", "location": "Elsewhere"})
    hand.delete_event(gone)
    page = google.get(EVENTS, {"syncToken": token}).json
    first, second, third = page["items"]
    assert (first["id"], first["summary"]) == (added["id"], "Wedding Ada & Ben")
    assert (second["id"], second["summary"], second["sequence"]) == (changed, "Moved", 1)
    assert set(third) == {"kind", "etag", "id", "status"}
    assert (third["id"], third["status"]) == (gone, "cancelled")
    assert google.get(EVENTS, {"syncToken": page["nextSyncToken"]}).json["items"] == []
    assert google.get(f"{EVENTS}/{added['id']}").json == added


def test_a_sync_is_paged_too(google: SandboxClient) -> None:
    token = sync_token(google)
    added = [google.sandbox.google.add_event()["id"] for _ in range(5)]
    pages = google.pages(EVENTS, {"syncToken": token, "maxResults": "2"})
    assert [event["id"] for page in pages for event in page["items"]] == added
    assert [("nextSyncToken" in page) for page in pages] == [False, False, True]


def test_a_change_between_two_pages_is_not_lost(google: SandboxClient) -> None:
    first = google.get(EVENTS, {"maxResults": "20"}).json
    changed = first["items"][0]["id"]
    google.sandbox.google.update_event(changed, {"summary": "Moved meanwhile"})
    rest = google.get(EVENTS, {"maxResults": "2500", "pageToken": first["nextPageToken"]}).json
    synced = google.get(EVENTS, {"syncToken": rest["nextSyncToken"]}).json
    assert [event["id"] for event in synced["items"]] == [changed]


def test_a_change_between_two_pages_of_a_sync_is_not_lost(google: SandboxClient) -> None:
    token = sync_token(google)
    first, second = (google.sandbox.google.add_event()["id"] for _ in range(2))
    page = google.get(EVENTS, {"syncToken": token, "maxResults": "1"}).json
    google.sandbox.google.update_event(first, {"summary": "Moved meanwhile"})
    rest = google.pages(EVENTS, {"syncToken": token, "pageToken": page["nextPageToken"]})[0]
    assert [event["id"] for event in rest["items"]] == [second, first]


def test_an_expired_or_unknown_sync_token_needs_a_full_sync(google: SandboxClient) -> None:
    expired, foreign = sync_token(google), sync_token(google.acting_for("empty"))
    google.control("POST", "/expire-sync-tokens")
    for token in (expired, foreign, "invented"):
        answer = google.get(EVENTS, {"syncToken": token})
        assert (answer.status, answer.reason) == (410, "fullSyncRequired")
    assert google.get(EVENTS, {"syncToken": sync_token(google)}).status == 200


@pytest.mark.parametrize(
    "params", [{"orderBy": "updated"}, {"timeMin": f"{TODAY}T00:00:00Z"}, {"showDeleted": "false"}]
)
def test_a_sync_token_cannot_be_combined_with_every_parameter(google: SandboxClient, params: dict[str, str]) -> None:
    answer = google.get(EVENTS, {"syncToken": sync_token(google), **params})
    assert (answer.status, answer.reason) == (400, "invalid")


def test_a_list_bounded_by_time_returns_no_sync_token(google: SandboxClient) -> None:
    page = google.get(EVENTS, {"maxResults": "2500", "timeMin": "2020-01-01T00:00:00Z"}).json
    assert "nextSyncToken" not in page


def test_the_primary_calendar_is_found_by_its_alias_and_its_id(google: SandboxClient) -> None:
    base = "/www.googleapis.com/calendar/v3"
    entry, *_ = google.get(f"{base}/users/me/calendarList").json["items"]
    assert entry == google.get(f"{base}/users/me/calendarList/primary").json
    assert (entry["id"], entry["timeZone"], entry["primary"]) == ("hello@lindenandlight.example", "Europe/Berlin", True)
    by_id = f"{base}/calendars/hello%40lindenandlight.example/events"
    assert google.get(by_id).json == google.get(EVENTS).json
    assert google.get(f"{base}/calendars/someone%40example.com/events").status == 404


def test_events_can_be_changed_over_http(google: SandboxClient) -> None:
    token = sync_token(google)
    event = google.control("POST", "/events", event={"summary": "NUL \x00 and a lone \ud800"}).json
    google.control("PATCH", "/events", event_id=event["id"], changes={"location": "Loft"})
    (changed,) = google.get(EVENTS, {"syncToken": token}).json["items"]
    assert (changed["summary"], changed["location"]) == ("NUL \x00 and a lone \ud800", "Loft")
    assert google.control("DELETE", "/events", event_id=event["id"]).json["status"] == "cancelled"
    assert google.control("DELETE", "/events", event_id="nothing").status == 400


def test_the_calendars_owner_answers_invitations(google: SandboxClient) -> None:
    invited = [event for event in listed(google, singleEvents="true") if not event["organizer"].get("self")]
    answers = {guest["responseStatus"] for event in invited for guest in event["attendees"] if guest.get("self")}
    assert answers == {"declined", "needsAction", "tentative"}
    token, event = sync_token(google), invited[0]
    google.control("POST", "/respond", event_id=event["id"], response="accepted")
    (changed,) = google.get(EVENTS, {"syncToken": token}).json["items"]
    assert changed["attendees"] == [
        event["attendees"][0],
        {"email": "hello@lindenandlight.example", "self": True, "responseStatus": "accepted"},
    ]


def test_a_renamed_calendar_is_found_under_its_new_id_and_keeps_its_events(google: SandboxClient) -> None:
    before = listed(google)
    google.control("POST", "/rename-calendar", address="studio@lindenandlight.example")
    base = "/www.googleapis.com/calendar/v3"
    assert google.get(f"{base}/users/me/calendarList/primary").json["id"] == "studio@lindenandlight.example"
    assert google.get(f"{base}/calendars/hello%40lindenandlight.example/events").status == 404
    assert google.get(f"{base}/calendars/studio%40lindenandlight.example/events").status == 200
    assert [event["id"] for event in listed(google)] == [event["id"] for event in before]


BASE = "/www.googleapis.com/calendar/v3"
WEDDINGS = accounts.WEDDINGS


def events_of(calendar_id: str) -> str:
    return f"{BASE}/calendars/{quote(calendar_id, safe='')}/events"


def test_a_users_calendars_are_listed_in_pages_and_by_role(google: SandboxClient) -> None:
    url = f"{BASE}/users/me/calendarList"
    whole = google.get(url).json["items"]
    assert [(entry["summary"], entry.get("primary", False)) for entry in whole] == [
        ("Linden & Light Photography", True),
        ("Weddings", False),
        ("Family", False),
    ]
    pages = google.pages(url, {"maxResults": "2"})
    assert [entry for page in pages for entry in page["items"]] == whole
    google.control("POST", "/calendars", calendar_id="busy@example.com", name="Busy", role="freeBusyReader")
    google.control("POST", "/calendars", calendar_id="shared@example.com", name="Shared", role="reader")
    readable = google.get(url, {"minAccessRole": "reader"}).json["items"]
    assert [entry["summary"] for entry in readable[3:]] == ["Shared"]
    google.control("DELETE", "/calendars", calendar_id="shared@example.com")
    assert google.get(events_of("shared@example.com")).status == 404


def test_a_moved_event_is_deleted_here_and_there_under_the_same_id(google: SandboxClient) -> None:
    event = google.control("POST", "/events", event={"summary": "Wedding"}).json
    here = sync_token(google)
    there = google.get(events_of(WEDDINGS)).json["nextSyncToken"]
    google.control("POST", "/move-event", event_id=event["id"], to=WEDDINGS)
    (gone,) = google.get(EVENTS, {"syncToken": here}).json["items"]
    (come,) = google.get(events_of(WEDDINGS), {"syncToken": there}).json["items"]
    assert (gone["id"], gone["status"]) == (event["id"], "cancelled")
    assert (come["id"], come["summary"], come["iCalUID"]) == (event["id"], "Wedding", event["iCalUID"])
    assert come["organizer"]["email"] == WEDDINGS


def test_a_sync_token_belongs_to_its_calendar(google: SandboxClient) -> None:
    assert google.get(events_of(WEDDINGS), {"syncToken": sync_token(google)}).status == 410

"""Calendar v3: the calendars of a user, their events, and incremental syncs.

https://developers.google.com/workspace/calendar/api/guides/sync
"""

from collections.abc import Callable
from datetime import UTC, datetime, time

from dev.sandbox.google.accounts import PRIMARY, Account, Calendar
from dev.sandbox.google.errors import invalid_parameter, refusal
from dev.sandbox.google.grants import SCOPE
from dev.sandbox.google.methods import Call, Method, Params
from dev.sandbox.store import Expired, Records, Store, walk
from dev.sandbox.studio import ZONE
from dev.sandbox.tokens import seal, unseal
from dev.sandbox.wire import Json, Response, as_json

HOST = "www.googleapis.com"

EVENT_TYPES = ("birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation")
ROLES = ("freeBusyReader", "owner", "reader", "writer", "writerWithoutPrivateAccess")
RANKS = {"freeBusyReader": 0, "reader": 1, "writerWithoutPrivateAccess": 2, "writer": 3, "owner": 4}
NOT_WITH_SYNC_TOKEN = ("orderBy", "timeMin", "timeMax", "updatedMin")

Admits = Callable[[Json], bool]


def list_calendars(call: Call) -> Response:
    """Roles are ordered: a writer may also read."""
    least = call.params.choice("minAccessRole", ROLES)
    calendars = [each for each in call.account.calendars() if least is None or RANKS[each.role] >= RANKS[least]]
    start, size = call.params.page().get("position", 0), call.params.size(default=100, most=250)
    page: Json = {"items": [_list_entry(each) for each in calendars[start : start + size]]}
    if start + size < len(calendars):
        page["nextPageToken"] = call.params.page_token(position=start + size)
    return as_json({"kind": "calendar#calendarList", "etag": '"1"', **page})


def get_list_entry(call: Call) -> Response:
    return as_json(_list_entry(_calendar(call)))


def get_calendar(call: Call) -> Response:
    entry = _list_entry(_calendar(call))
    shown = {name: entry[name] for name in ("etag", "id", "summary", "timeZone")}
    return as_json({"kind": "calendar#calendar", **shown})


def get_event(call: Call) -> Response:
    event = _calendar(call).events.get(call.path["eventId"])
    if event is None:
        raise refusal(404, "notFound", "Not Found")
    return as_json(event)


def list_events(call: Call) -> Response:
    calendar = _calendar(call)
    page = _changed_events(call, calendar) if "syncToken" in call.params else _all_events(call, calendar)
    return as_json({**_collection(calendar), **page})


def _all_events(call: Call, calendar: Calendar) -> Json:
    """One page of the calendar. The sync token at the end counts from the first page, so nothing falls in between."""
    params = call.params
    page = params.page()
    as_of = page.get("as_of", calendar.changes.position)
    records, admits = _ordered(calendar.events, params), _filter(params)
    positions = range(page.get("position", 0), len(records))
    items, position = walk(records, positions, params.size(default=250, most=2500), admits)
    if position is not None:
        return {"items": items, "nextPageToken": params.page_token(position=position, as_of=as_of)}
    if any(name in params for name in NOT_WITH_SYNC_TOKEN):
        return {"items": items}
    return {"items": items, "nextSyncToken": _sync_token(call.account, calendar, as_of)}


def _changed_events(call: Call, calendar: Calendar) -> Json:
    """One page of what changed since the sync token, deleted events included."""
    params = call.params
    _check_combination(params)
    since = params.page().get("since", _synced_position(call.account, calendar, params.text("syncToken") or ""))
    try:
        changes = calendar.changes.since(since)
    except Expired:
        raise _full_sync_required() from None
    latest = {event_id: position for position, event_id in changes}
    size, admits = params.size(default=250, most=2500), _filter(params, with_deleted=True)
    items: list[Json] = []
    for event_id, position in sorted(latest.items(), key=lambda change: change[1]):
        if len(items) == size:
            return {"items": items, "nextPageToken": params.page_token(since=since)}
        event = calendar.events.get(event_id)
        if event is not None and admits(event):
            items.append(event)
        since = position
    return {"items": items, "nextSyncToken": _sync_token(call.account, calendar, since)}


def _ordered(events: Store, params: Params) -> Records:
    order = params.choice("orderBy", ("startTime", "updated"))
    if order is None:
        return events
    if order == "startTime" and not params.flag("singleEvents"):
        message = "The requested ordering is not available for the particular query."
        raise invalid_parameter("orderBy", message)
    key = _starts if order == "startTime" else _updated
    return sorted((events[index] for index in range(len(events))), key=key)


def _filter(params: Params, *, with_deleted: bool = False) -> Admits:
    """Whether an event belongs in the list that the parameters describe."""
    types = params.choices("eventTypes", EVENT_TYPES)
    single = params.flag("singleEvents")
    after, before, updated = params.moment("timeMin"), params.moment("timeMax"), params.moment("updatedMin")
    with_deleted = with_deleted or updated is not None or params.flag("showDeleted")

    def admits(event: Json) -> bool:
        cancelled = event["status"] == "cancelled"
        if cancelled and not with_deleted:
            return False
        if "recurrence" in event if single else "recurringEventId" in event and not cancelled:
            return False
        if types and event.get("eventType", "default") not in types:
            return False
        if updated and "updated" in event and _updated(event) < updated:
            return False
        if (after or before) and "start" not in event:
            return False
        return not (after and _time(event["end"]) <= after) and not (before and _time(event["start"]) >= before)

    return admits


def _calendar(call: Call) -> Calendar:
    calendar = call.account.calendar(call.path["calendarId"])
    if calendar is None:
        raise refusal(404, "notFound", "Not Found")
    return calendar


def _check_combination(params: Params) -> None:
    for name in NOT_WITH_SYNC_TOKEN:
        if name in params:
            raise invalid_parameter(name, f"Sync token cannot be used with {name}.")
    if params.choice("showDeleted", ("true", "false")) == "false":
        raise invalid_parameter("showDeleted", "Sync token cannot be used with showDeleted set to false.")


def _sync_token(account: Account, calendar: Calendar, position: int) -> str:
    return seal("sync", {"a": account.name, "c": _token_name(calendar), "p": position})


def _synced_position(account: Account, calendar: Calendar, token: str) -> int:
    claims = unseal("sync", token)
    if claims is None or (claims["a"], claims["c"]) != (account.name, _token_name(calendar)):
        raise _full_sync_required()
    position: int = claims["p"]
    return position


def _token_name(calendar: Calendar) -> str:
    """The primary calendar keeps its name when its address changes."""
    return PRIMARY if calendar.is_primary else calendar.id


def _full_sync_required() -> Exception:
    message = "Sync token is no longer valid, a full sync is required."
    return refusal(410, "fullSyncRequired", message, domain="calendar")


def _collection(calendar: Calendar) -> Json:
    """The members about the calendar itself, on each page."""
    position = calendar.changes.position
    return {
        "kind": "calendar#events",
        "etag": f'"p{position}"',
        "summary": calendar.name,
        "description": "",
        "updated": datetime.fromtimestamp(position / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "timeZone": ZONE.key,
        "accessRole": calendar.role,
        "defaultReminders": [{"method": "popup", "minutes": 30}],
    }


def _list_entry(calendar: Calendar) -> Json:
    entry = {
        "kind": "calendar#calendarListEntry",
        "etag": '"1"',
        "id": calendar.id,
        "summary": calendar.name,
        "timeZone": ZONE.key,
        "colorId": "14",
        "backgroundColor": "#9fe1e7",
        "foregroundColor": "#000000",
        "selected": True,
        "accessRole": calendar.role,
        "defaultReminders": [{"method": "popup", "minutes": 30}],
    }
    return {**entry, "primary": True} if calendar.is_primary else entry


def _time(moment: Json) -> datetime:
    if "dateTime" in moment:
        return datetime.fromisoformat(moment["dateTime"])
    return datetime.combine(datetime.fromisoformat(moment["date"]), time(), ZONE)


def _starts(event: Json) -> datetime:
    return _time(event.get("start") or event.get("originalStartTime") or {"date": "1970-01-01"})


def _updated(event: Json) -> datetime:
    return datetime.fromisoformat(event.get("updated", "1970-01-01T00:00:00Z"))


_EVENT_SCOPES = tuple(
    SCOPE + name
    for name in (
        "calendar",
        "calendar.app.created",
        "calendar.events",
        "calendar.events.freebusy",
        "calendar.events.owned",
        "calendar.events.owned.readonly",
        "calendar.events.public.readonly",
        "calendar.events.readonly",
        "calendar.readonly",
    )
)
_LIST_SCOPES = tuple(
    SCOPE + name
    for name in ("calendar", "calendar.calendarlist", "calendar.calendarlist.readonly", "calendar.readonly")
)
_CALENDAR_SCOPES = tuple(
    SCOPE + name
    for name in (
        "calendar",
        "calendar.app.created",
        "calendar.calendars",
        "calendar.calendars.readonly",
        "calendar.readonly",
    )
)

METHODS = (
    Method(
        "calendar.calendarList.list",
        "/calendar/v3/users/me/calendarList",
        _LIST_SCOPES,
        list_calendars,
        ("maxResults", "minAccessRole", "pageToken", "showHidden", "showDeleted"),
    ),
    Method(
        "calendar.calendarList.get",
        "/calendar/v3/users/me/calendarList/{calendarId}",
        (*_LIST_SCOPES, SCOPE + "calendar.app.created"),
        get_list_entry,
    ),
    Method("calendar.calendars.get", "/calendar/v3/calendars/{calendarId}", _CALENDAR_SCOPES, get_calendar),
    Method("calendar.events.get", "/calendar/v3/calendars/{calendarId}/events/{eventId}", _EVENT_SCOPES, get_event),
    Method(
        "calendar.events.list",
        "/calendar/v3/calendars/{calendarId}/events",
        _EVENT_SCOPES,
        list_events,
        (
            "maxResults",
            "pageToken",
            "syncToken",
            "singleEvents",
            "showDeleted",
            "orderBy",
            "eventTypes",
            *("timeMin", "timeMax", "updatedMin"),
        ),
    ),
)

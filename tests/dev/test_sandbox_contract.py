"""The sandbox compared with what Google publishes: its discovery documents, and its own Python client."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from dev.sandbox import CLIENT_ID, CLIENT_SECRET, Sandbox, issue_token
from dev.sandbox.google import calendar, gmail, oauth
from dev.sandbox.google.methods import Method
from tests.dev.sandbox_client import SandboxClient

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
READ_ALL = (
    "https://www.googleapis.com/auth/calendar.readonly",
    "https://www.googleapis.com/auth/gmail.readonly",
    "openid",
)

METHODS = [
    *(("calendar.v3", calendar.HOST, method) for method in calendar.METHODS),
    *(("gmail.v1", gmail.HOST, method) for method in gmail.METHODS),
    *(("oauth2.v2", oauth.API_HOST, method) for method in oauth.METHODS),
]
PARAMETERS = pytest.mark.parametrize(("name", "host", "method"), METHODS, ids=[method.id for _, _, method in METHODS])


@cache
def document(name: str) -> Any:
    return json.loads((DOCUMENTS / f"{name}.json").read_text())


def methods(resource: Any) -> Iterator[Any]:
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from methods(inner)


def published(name: str, method_id: str) -> Any:
    return next(method for method in methods(document(name)) if method["id"] == method_id)


def problems(value: Any, schema: Any, schemas: Any, path: str) -> list[str]:
    """Members or types in the value that the schema does not have."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    match schema["type"]:
        case "object" if isinstance(value, dict):
            known = schema.get("properties", {})
            unknown = [f"{path}.{name} is not in the document" for name in value.keys() - known.keys()]
            shared = value.keys() & known.keys()
            return unknown + [
                each for name in shared for each in problems(value[name], known[name], schemas, f"{path}.{name}")
            ]
        case "array" if isinstance(value, list):
            return [each for item in value for each in problems(item, schema["items"], schemas, f"{path}[]")]
        case kind if fits(value, kind, schema.get("format", "")):
            return []
        case kind:
            return [f"{path} is not a {kind}: {value!r}"]


def fits(value: Any, kind: str, form: str) -> bool:
    match kind, form:
        case "string", "int64" | "uint64":
            return isinstance(value, str) and value.isdigit()
        case "string", "date":
            return date.fromisoformat(value).isoformat() == str(value)
        case "string", "date-time":
            return datetime.fromisoformat(value).tzinfo is not None
        case "string", "byte":
            return re.fullmatch(r"[\w=-]*", value) is not None
        case "string", _:
            return isinstance(value, str)
        case "integer", _:
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean", _:
            return isinstance(value, bool)
    return False


@PARAMETERS
def test_every_method_is_in_the_discovery_document(name: str, host: str, method: Method) -> None:
    whole, theirs = document(name), published(name, method.id)
    assert whole["rootUrl"] == f"https://{host}/"
    assert (theirs["httpMethod"], f"/{whole['servicePath']}{theirs['path']}") == ("GET", method.path)
    assert set(method.scopes) == set(theirs["scopes"])
    in_query = {param for param, facts in theirs.get("parameters", {}).items() if facts["location"] == "query"}
    assert set(method.params) <= in_query


@PARAMETERS
def test_every_response_has_the_members_and_types_of_the_document(
    google: SandboxClient, name: str, host: str, method: Method
) -> None:
    schemas, schema = document(name)["schemas"], published(name, method.id)["response"]
    client = google.acting_for(scopes=[*READ_ALL, *method.scopes])
    since = client.get("/gmail.googleapis.com/gmail/v1/users/me/profile").json["historyId"]
    message = google.sandbox.google.add_message()
    event = google.sandbox.google.add_event()
    ids = {"id": "INBOX" if "labels" in method.id else message["id"], "eventId": event["id"]}
    path = method.path.format(userId="me", calendarId="primary", **ids)
    queries: list[dict[str, str]] = [{}]
    if method.id == "calendar.events.list":
        token = client.get(f"/{host}{path}").json["nextSyncToken"]
        google.sandbox.google.delete_event(event["id"])
        queries = [{}, {"showDeleted": "true", "singleEvents": "true"}, {"maxResults": "1"}, {"syncToken": token}]
    if method.id == "gmail.users.history.list":
        queries = [{"startHistoryId": since}]
    if "format" in method.params:
        queries = [{"format": cut} for cut in published(name, method.id)["parameters"]["format"]["enum"]]
    for query in queries:
        answer = client.get(f"/{host}{path}", query)
        assert answer.status == 200, query
        assert problems(answer.json, schema, schemas, method.id) == []


def test_tokeninfo_matches_the_document(google: SandboxClient) -> None:
    theirs, schemas = published("oauth2.v2", "oauth2.tokeninfo"), document("oauth2.v2")["schemas"]
    assert (theirs["httpMethod"], theirs["path"]) == ("POST", "oauth2/v2/tokeninfo")
    answer = google.send("POST", f"/www.googleapis.com/{theirs['path']}?access_token={google.grant.access_token}")
    assert problems(answer.json, theirs["response"], schemas, "tokeninfo") == []


@pytest.fixture
def credentials(sandbox: Sandbox) -> Credentials:
    """An expired grant, so that the vendor's library has to refresh it first."""
    grant = issue_token("studio", scopes=READ_ALL, lifetime=0)
    return Credentials(  # type: ignore[no-untyped-call]  # google-auth publishes its types in part
        grant.access_token,
        refresh_token=grant.refresh_token,
        token_uri=f"{sandbox.url}/oauth2.googleapis.com/token",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )


def vendors_client(sandbox: Sandbox, credentials: Credentials, name: str, version: str, base: str) -> Any:
    options = {"api_endpoint": f"{sandbox.url}/{base}"}
    return build(name, version, credentials=credentials, client_options=options, static_discovery=True)


def test_the_vendors_client_syncs_a_calendar(sandbox: Sandbox, credentials: Credentials) -> None:
    with vendors_client(sandbox, credentials, "calendar", "v3", "www.googleapis.com/calendar/v3/") as service:
        events = service.events()
        request = events.list(calendarId="primary", singleEvents=True, maxResults=25)
        found, page = [], None
        while request is not None:
            page = request.execute()
            found += page["items"]
            request = events.list_next(request, page)
        assert page is not None
        assert len(found) > 40
        added = sandbox.google.add_event({"summary": "Wedding Ada & Ben"})
        synced = events.list(calendarId="primary", singleEvents=True, syncToken=page["nextSyncToken"]).execute()
        assert [event["id"] for event in synced["items"]] == [added["id"]]
        sandbox.google.expire_sync_tokens()
        with pytest.raises(HttpError) as gone:
            events.list(calendarId="primary", singleEvents=True, syncToken=page["nextSyncToken"]).execute()
        assert (gone.value.status_code, gone.value.error_details[0]["reason"]) == (410, "fullSyncRequired")


def test_the_vendors_client_reads_threads_and_history(sandbox: Sandbox, credentials: Credentials) -> None:
    with vendors_client(sandbox, credentials, "gmail", "v1", "gmail.googleapis.com/") as service:
        users = service.users()
        profile = users.getProfile(userId="me").execute()
        request, found = users.threads().list(userId="me", includeSpamTrash=True, maxResults=20), []
        while request is not None:
            page = request.execute()
            found += page["threads"]
            request = users.threads().list_next(request, page)
        assert len(found) == profile["threadsTotal"]
        thread = (
            users.threads().get(userId="me", id=found[0]["id"], format="metadata", metadataHeaders=["From"]).execute()
        )
        assert thread["messages"][0]["payload"]["headers"][0]["name"] == "From"
        added = sandbox.google.add_message()
        history = users.history().list(userId="me", startHistoryId=profile["historyId"]).execute()
        assert history["history"][0]["messagesAdded"][0]["message"]["id"] == added["id"]


def test_the_vendors_client_waits_and_retries_after_a_rate_limit(sandbox: Sandbox, credentials: Credentials) -> None:
    with vendors_client(sandbox, credentials, "calendar", "v3", "www.googleapis.com/calendar/v3/") as service:
        request = service.events().list(calendarId="primary")
        request._sleep, request._rand = lambda seconds: None, lambda: 0
        sandbox.add_fault(kind="status", status=403, host="www.googleapis.com")
        assert request.execute(num_retries=1)["items"]

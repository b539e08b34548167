"""Requests generated from the OpenAPI document, sent over real HTTP: the API must do what its document says."""

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from requests.adapters import HTTPAdapter
from schemathesis.specs.openapi.checks import use_after_free

from app import API
from chalicelib.api.openapi import describe
from chalicelib.api.openapi_document import openapi
from chalicelib.errors import Conflict
from chalicelib.platforms.meta import META
from chalicelib.platforms.meta.webhooks import DATA_DELETION, SignedRequest
from chalicelib.secret import Secret
from chalicelib.services.api_keys import create_api_key
from chalicelib.services.authorization import handle_callback, start_authorization
from chalicelib.services.connections.accounts import list_accounts
from chalicelib.services.connections.connections import create_connection
from chalicelib.services.connections.tokens import Tokens
from chalicelib.services.pending_grants import HeldGrant
from chalicelib.services.studios import create_studio
from chalicelib.services.sync.runs import cancel_run, start_sync
from chalicelib.services.webhook_endpoints import create_webhook_endpoint, list_webhook_endpoints
from chalicelib.services.webhook_endpoints import test_webhook_endpoint as send_test
from chalicelib.services.webhooks import handle_webhook
from dev.sandbox import CLIENT_ID, issue_token
from dev.sandbox.google import security_events
from dev.sandbox.meta import signed_request
from tests.api.seeding import seed_account
from tests.browser import decide, query_of
from tests.conftest import Database, as_operator, database_time

CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "generation": {"database": "none"},
        "phases": {
            # Requests that the gateway rejects, such as TRACE, do not reach the application.
            "coverage": {"unexpected-methods": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
        },
        "checks": {
            # Rules between fields, such as `from` not later than `to`, are not in the schema. Neither is the proof that
            # a public route needs, such as a state: without it the answer is 400. What is known is a 304, and a
            # studio with too many open authorizations gets a 429.
            "positive_data_acceptance": {"expected-statuses": ["2xx", "304", "400", "404", "409", "422", "429"]},
        },
    }
)
KEPT = ("GET /api/sync/log/{run_id}", "GET /api/connections/{platform}/events")
"""A DELETE cancels a run and keeps it, and a connection's events can be read after it is gone."""
ROUTES = [route for group in [*API, describe(API)] for route in group]
EXAMPLES = int(os.environ.get("ANSEL_FUZZ_EXAMPLES", "0"))
"""More than the tests try: `make fuzz`"""
BOUNDED = settings(derandomize=not EXAMPLES, suppress_health_check=list(HealthCheck))
schemathesis.serializer.alias("application/secevent+jwt", "text/plain")
schema = schemathesis.openapi.from_dict(openapi(ROUTES), config=CONFIG)


@dataclass
class Tenant:
    """A studio with a working Google connection, and the responses to its requests."""

    url: str
    session: requests.Session
    database: Database
    studio_id: UUID = field(init=False)
    statuses: set[int] = field(default_factory=set)
    requests: int = 0

    def __post_init__(self) -> None:
        self.move()

    def move(self) -> None:
        """Moves to a new studio, in which nothing is connected yet."""
        with as_operator():
            self.studio_id = create_studio("Generated")
            key = create_api_key(self.studio_id, "all", ["admin"])
        self.session.headers["Authorization"] = f"Bearer {key.reveal()}"

    @property
    def call_options(self) -> dict[str, Any]:
        headers = {"Authorization": self.session.headers["Authorization"]}
        return {"base_url": self.url, "headers": headers, "session": self.session}

    def connect(self) -> None:
        """Connects Google, unless it is connected."""
        grant = issue_token("empty")
        tokens = Tokens(
            Secret(grant.access_token), Secret(grant.refresh_token), database_time() + timedelta(hours=1), None
        )
        with suppress(Conflict):
            create_connection(self.studio_id, "google", tokens)

    @property
    def has_succeeded(self) -> bool:
        return min(self.statuses, default=500) < 300

    def consent(self) -> dict[str, str]:
        """The parameters of the platform's redirect."""
        return query_of(
            decide(start_authorization(self.studio_id, "google", streams=None, return_to=None).authorize_url)
        )

    def code(self) -> str:
        """The completion code of a new authorization."""
        callback = self.consent()
        pending = handle_callback("google", state=callback["state"], code=Secret(callback["code"]), error="")
        assert isinstance(pending, HeldGrant)
        return pending.code.reveal()

    def start_run(self) -> UUID:
        return start_sync(self.studio_id, "google", "bookings")[0].id

    def account(self) -> UUID:
        """A calendar as a sync would have found it."""
        if not list_accounts(self.studio_id, "google"):
            with closing(self.database.connect()) as superuser:
                seed_account(superuser, self.studio_id)
        return list_accounts(self.studio_id, "google")[0].id

    def try_out(self, case: schemathesis.Case[Any]) -> None:
        self.connect()
        if case.query and not self.has_succeeded and _is_valid(case):
            case.query.pop("connection", None)  # nor is an invented id a connection's
        if "run_id" in case.path_parameters and not self.has_succeeded and _is_valid(case):
            run_id = self.start_run()  # an invented id is never a run's
            if case.path.endswith("/retry"):
                cancel_run(self.studio_id, run_id)
            case.path_parameters["run_id"] = str(run_id)
        if "account_id" in case.path_parameters and not self.has_succeeded and _is_valid(case):
            case.path_parameters.update(platform="google", account_id=str(self.account()))
        if "endpoint_id" in case.path_parameters and not self.has_succeeded and _is_valid(case):
            (webhook, *_) = (
                list_webhook_endpoints(self.studio_id)
                or create_webhook_endpoint(self.studio_id, "http://127.0.0.1:9/")[:1]
            )
            case.path_parameters["endpoint_id"] = str(webhook.id)
            if "delivery_id" in case.path_parameters:
                case.path_parameters["delivery_id"] = str(send_test(self.studio_id, webhook.id).id)
        if case.path.startswith("/api/webhooks/") and not self.has_succeeded and _is_valid(case):
            sign(case)
        if case.path.endswith("/callback") and not self.has_succeeded and _is_valid(case):
            case.path_parameters["platform"] = "google"
            case.query = self.consent()
        if case.path.endswith("/complete") and not self.has_succeeded and _is_valid(case):
            case.path_parameters["platform"] = "google"
            case.body = {"code": self.code()}
        self.note(case.call_and_validate(**self.call_options))

    def note(self, response: schemathesis.Response) -> None:
        self.statuses.add(response.status_code)
        self.requests += 1


def sign(case: schemathesis.Case[Any]) -> None:
    """Replaces invented values by what only a platform can sign; it concerns no account."""
    if "code" in case.path_parameters:
        (case.path_parameters["code"],) = handle_webhook(META, DATA_DELETION, SignedRequest(signed_request("1")))
    elif case.path.endswith("/security-events"):
        case.body = security_events.sign(security_events.claims(security_events.RISC + "verification", {}, CLIENT_ID))
    else:
        case.body = {"signed_request": signed_request("1")}


def _is_valid(case: schemathesis.Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE


class Lengths(HTTPAdapter):
    """Sets the length of an empty form to zero; requests sends it in chunks, which the local server rejects."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if request.body == "":
            request.body = None
            request.headers["Content-Length"] = "0"
        return super().send(request, *args, **kwargs)


@pytest.fixture
def tenant(http_server: str, clean_database: Database) -> Iterator[Tenant]:
    with requests.Session() as session:
        session.mount("http://", Lengths())
        tenant = Tenant(http_server, session, clean_database)
        yield tenant
    print(f"{tenant.requests} requests answered")
    assert tenant.has_succeeded, "no request succeeded, so little was tested"


def of_operation(operation_id: str) -> Any:
    """The test of one operation, collected under its own name: a parallel run executes each name once."""

    @schema.include(operation_id=operation_id).parametrize()
    @settings(BOUNDED, max_examples=EXAMPLES or 15)
    def keeps_its_description(case: schemathesis.Case[Any], tenant: Tenant) -> None:
        tenant.try_out(case)

    return keeps_its_description


for route in ROUTES:
    globals()[f"test_{route.handler.__name__}_keeps_its_description"] = of_operation(route.handler.__name__)


def test_sequences_of_operations_match_their_description(tenant: Tenant) -> None:
    """Links between operations are inferred: responses feed later requests, and what is deleted must be gone."""

    class Calls(schema.as_state_machine()):  # type: ignore[misc]  # its base is made from the schema
        def setup(self) -> None:
            tenant.move()  # later requests are drawn from responses, which must not depend on an earlier scenario
            tenant.connect()
            tenant.start_run()

        def get_call_kwargs(self, case: schemathesis.Case[Any]) -> dict[str, Any]:
            return tenant.call_options

        def after_call(self, response: schemathesis.Response, case: schemathesis.Case[Any]) -> None:
            super().after_call(response, case)
            tenant.note(response)

        def validate_response(
            self, response: schemathesis.Response, case: schemathesis.Case[Any], *args: Any, **kwargs: Any
        ) -> None:
            excluded = [use_after_free] if case.operation.label in KEPT else []
            case.validate_response(response, excluded_checks=excluded, transport_kwargs=kwargs, recorder=self.recorder)

    Calls.run(settings=settings(BOUNDED, max_examples=EXAMPLES or 12, stateful_step_count=16))

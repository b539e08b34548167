"""Tenancy: whatever a statement says, a studio reads and changes its own rows only."""

import importlib
import itertools
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

import chalicelib.data
from chalicelib.data.metrics import periods
from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.query import Query, array_of
from chalicelib.data.sync import skipped
from chalicelib.data.sync import store as sync_store
from chalicelib.data.sync.store import FullRead, Removed
from chalicelib.data.sync.tables import SYNCED
from chalicelib.platforms.core.records import BookingRecord
from chalicelib.services.streams import TABLES
from tests.conftest import ROOT
from tests.data import pages
from tests.data.attack import INTRUDER, VICTIM, refused, sqlstate
from tests.data.queries import find_queries
from tests.data.rows import NOW, Rows, id_of, snapshot

REFUSED = ("42501", "23503", "23505")
"""Row-level security, a foreign key, a unique key"""
TENANTLESS = {
    *("GET_SCHEMA", "NEW_ID", "NEW_IDS", "DATABASE_TIME"),
    *("LOCK_WEBHOOK_ENDPOINTS", "INSERT_DATA_DELETION", "FINISH_DATA_DELETION", "FIND_DATA_DELETION"),
    *("BEGIN_ERASURE", "FINISH_ERASURE", "FIND_ERASURE", "LIST_ERASURES"),
    *("LIST_SHARED_THROTTLES", "CLEAR_SHARED_THROTTLES"),
    *("LIST_TENANT_KEYS", "APPLY_TENANT_KEYS"),
}
"""They touch no tenant table."""
CROSS_TENANT = {
    *("FIND_API_KEY", "CHARGE_API_KEY", "TAKE_OAUTH_STATE"),
    *("CLAIM_DUE_SCHEDULES", "START_SCHEDULED_RUNS", "ENQUEUE_LOST_RUNS"),
    *("CLAIM_DUE_REFRESHES", "GRANT_IS_SHARED"),
    *("CLAIM_EXPIRED_GRANTS", "END_ACCOUNT_GRANTS", "FORGET_PENDING_GRANTS"),
    *("CLAIM_DUE_DELIVERIES", "FIND_ACCOUNT_CONNECTIONS"),
    "FIND_STUDIOS",
    *("PRUNE_RUNS", "FORGET_SEEN_OF_ENDED_RUNS", "FORGET_IDEMPOTENCY_KEYS", "FIND_STUCK_RUNS"),
    *("PRUNE_DELIVERIES", "PRUNE_EVENTS", "FORGET_DATA_DELETIONS", "PRUNE_SET_ASIDE", "PRUNE_AUDIT"),
    *("FIND_KEYS_TO_REWRAP", "FIND_STUDIOS_TO_REKEY", "FIND_KEY_COUNTS", "FIND_QUARANTINED"),
    *("FIND_WAITS", "RESUME_DEFERRED_RUNS"),
    *("BLOCK_APP", "TRIP_CIRCUIT", "PROBE_CIRCUIT", "CLOSE_CIRCUIT"),
}
"""They see across studios, each through one function of `docs/security.md`."""


@dataclass(frozen=True)
class Aim:
    """How a query is pointed at another studio's row; `prepare` makes that row one the query would act on."""

    row: str = ""
    """The table whose id the query is given."""
    values: dict[str, Any] = field(default_factory=dict)
    prepare: str = ""


DAYS = [date(2026, 5, 1), date(2026, 6, 1)]
EDGES = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in DAYS]
FOUND = '[{"external_id": "intruder", "is_primary": false, "selected": true}]'
SCHEDULES = '[{"stream": "bookings", "frequency": "daily", "next_run_at": "2026-05-04T00:00:00Z"}]'
MAKE_BACKFILL = """
    UPDATE sync_log SET
        trigger = 'backfill', backfill_from = '2026-05-04', backfill_to = '2026-05-04'
"""
KEEP_PENDING = "UPDATE pending_grant SET expires_at = 'infinity'"
SET_ASIDE = """[{
    "id": "0190c1a2-0000-7000-8000-000000000001", "table_name": "booking", "external_id": "two",
    "field": "start", "reason": "x"
}]"""
RETRIED = f'[{{"id": "{id_of("victim", "set_aside")}", "field": "intruder", "reason": "intruder"}}]'
READ_LATER = "UPDATE account_position SET read_started_at = 'infinity'"
TELL_OF_A_BREAK = "UPDATE connection_event SET kind = 'failed'"
AIMS: dict[str, Aim] = {
    "LIST_API_KEYS": Aim(),
    "INSERT_API_KEY": Aim(values={"expires_at": None, "scopes": ["admin"], "secret_hash": b"hash"}),
    "REVOKE_API_KEY": Aim("api_key"),
    "LOCK_API_KEY": Aim("api_key"),
    "END_API_KEY": Aim("api_key", values={"hours": 1}),
    "GET_RUNS_HEALTH": Aim(),
    "LIST_DATA_KEY_HEALTH": Aim(),
    "COUNT_QUARANTINED": Aim(),
    "COUNT_ROWS": Aim(),
    "LIST_CONNECTIONS": Aim(),
    "FIND_CONNECTION": Aim(),
    "FIND_STORED_CONNECTION": Aim(),
    "FIND_SCHEDULED_CONNECTION": Aim(),
    "FIND_STORED_BY_ID": Aim("platform_connection"),
    "LIST_GRANTS": Aim(),
    "FIND_CONNECTION_TO_REFRESH": Aim("platform_connection"),
    "FIND_CONNECTION_ID": Aim(),
    "LIST_EVENTS": Aim(),
    "NOTE_EVENT": Aim("platform_connection"),
    "DRAFT_CONNECTION": Aim(),
    "INSERT_CONNECTION": Aim(
        "platform_connection",
        values={"token_generation": 8, "account_id": "intruder"},
        prepare="UPDATE platform_connection SET status = 'disabled'",
    ),
    "REPLACE_TOKENS": Aim("platform_connection"),
    "LEASE_REFRESH": Aim("platform_connection"),
    "FAIL_REFRESH": Aim("platform_connection"),
    "RECOVER_CONNECTION": Aim("platform_connection", prepare="UPDATE platform_connection SET status = 'error'"),
    "IDENTIFY_CONNECTION": Aim("platform_connection", values={"account_id": "x", "account_name": "y"}),
    "FAIL_CONNECTION": Aim("platform_connection", values={"status": "revoked"}, prepare="DELETE FROM sync_log"),
    "DISCONNECT": Aim("platform_connection", values={"revocation": "revoked"}),
    "LIST_ACCOUNTS": Aim(),
    "NAME_PRIMARY": Aim("sync_log", values={"kind": "calendar", "external_id": "intruder"}),
    "SAVE_ACCOUNTS": Aim("sync_log", values={"kind": "calendar", "accounts": FOUND, "complete": True}),
    "CHANGE_ACCOUNT": Aim("connected_account", values={"selected": False, "rule": "all", "words": '["intruder"]'}),
    "MOVE_BOOKINGS": Aim(
        "connected_account", values={"external_id": "intruder", "was": "victim calendar_id", "replaced": None}
    ),
    "FORGET_REPLACED": Aim("connected_account", values={"replaced": id_of("victim", "connected_account")}),
    "RESERVE_KEY": Aim(),
    "FIND_STORED_RESPONSE": Aim(),
    "STORE_RESPONSE": Aim(values={"status": 299}),
    "RELEASE_KEY": Aim(prepare="UPDATE idempotency_key SET status = NULL"),
    "TALLY": Aim(),
    "TALLY_AS_OF": Aim(values={"as_of": datetime(2026, 6, 1, tzinfo=UTC)}),
    "REMEMBER_SEEN": Aim("sync_log", values={"external_ids": ["two"]}),
    "INSERT_RUNS": Aim(prepare="DELETE FROM sync_log"),
    "INSERT_BACKFILL": Aim(values={"first": NOW.date(), "last": NOW.date(), "continues": None}),
    "FIND_ACTIVE_BACKFILL": Aim(prepare=MAKE_BACKFILL),
    "OPEN_VISITS": Aim("sync_log", values={"again": True}),
    "READ_AGAIN": Aim(),
    "LIST_SPENT_STREAMS": Aim(values={"most": 0}),
    "LEASE_RUN": Aim("sync_log"),
    "FIND_RUN_STATE": Aim("sync_log"),
    "ADVANCE_RUN": Aim("sync_log", values={"outcome": "last", "code": None, "message": None}),
    "RESTART_VISIT": Aim("sync_log"),
    "KEEP_LEASE": Aim("sync_log"),
    "YIELD_RUN": Aim("sync_log"),
    "DEFER_RUN": Aim("sync_log"),
    "FAIL_RUN": Aim("sync_log"),
    "CANCEL_RUN": Aim("sync_log"),
    "FORGET_SEEN": Aim("sync_log"),
    "FIND_RUN": Aim("sync_log"),
    "LIST_RUNS": Aim(values={"status": None}),
    "LIST_STREAM_STATUSES": Aim(),
    "SAVE_SCHEDULES": Aim(prepare="DELETE FROM sync_schedule"),
    "PUT_SCHEDULE": Aim(),
    "DISABLE_SCHEDULE": Aim(),
    "PAUSE_SCHEDULE": Aim(prepare="UPDATE sync_schedule SET paused_at = NULL, paused_by = NULL"),
    "LOCK_SCHEDULE": Aim(),
    "RESUME_SCHEDULE": Aim(),
    "INSERT_STUDIO": Aim("studio", prepare=f"DELETE FROM studio WHERE id = '{VICTIM}'"),
    "GET_STUDIO": Aim(),
    "SPEND_QUOTA": Aim(values={"app_used": 0.1, "app_seconds": 60, "account_used": 0.99, "account_seconds": 60}),
    "BLOCK_ACCOUNT": Aim(),
    "CLEAR_ACCOUNT_THROTTLES": Aim(prepare="UPDATE account_quota SET used = 0.9"),
    "CHECK_CALL": Aim(values={"charged": True, "per_minute": 6.0}),
    "DRAFT_OAUTH_STATE": Aim(),
    "INSERT_OAUTH_STATE": Aim(values={"state_hash": b"new", "verifier": None, "return_to": None}),
    "HOLD_GRANT": Aim("oauth_state", values={"code_hash": b"new", "warnings": "[]"}),
    "FIND_GRANT_BY_CODE": Aim(values={"code_hash": b"victim"}, prepare=KEEP_PENDING),
    "TAKE_GRANT": Aim("pending_grant", values={"code_hash": b"victim"}, prepare=KEEP_PENDING),
    "FIND_EXPIRED_GRANT": Aim("pending_grant", prepare="UPDATE pending_grant SET code_hash = NULL"),
    "FIND_PENDING_GRANT": Aim("pending_grant"),
    "LIST_PENDING_GRANTS": Aim(),
    "DELETE_PENDING_GRANT": Aim("pending_grant"),
    "INSERT_DATA_KEY": Aim(prepare="UPDATE data_key SET retired_at = now()"),
    "LIST_DATA_KEYS": Aim(),
    "FIND_STALE_KEY": Aim("data_key", values={"wanted": ["other"]}),
    "REWRAP_DATA_KEY": Aim("data_key", values={"replaced": b"victim"}),
    "RETIRE_DATA_KEY": Aim("data_key"),
    "LIST_SEALED_VALUES": Aim(values={"table_name": "", "row_id": UUID(int=0)}),
    "RESEAL": Aim(
        "webhook_endpoint", values={"table_name": "webhook_endpoint", "column_name": "secret", "sealed": b"victim"}
    ),
    "DELETE_UNUSED_KEYS": Aim(prepare="UPDATE data_key SET retired_at = now() - interval '2 hours'"),
    "NOTE_QUARANTINED": Aim(values={"table_name": "webhook_endpoint"}),
    "STOP_STUDIO": Aim(),
    "SHRED_KEYS": Aim(),
    "ERASE_ROWS": Aim(values={"table_name": "booking"}),
    "DELETE_STUDIO": Aim("studio"),
    "LIST_WEBHOOK_ENDPOINTS": Aim(),
    "DRAFT_WEBHOOK_ENDPOINT": Aim(),
    "INSERT_WEBHOOK_ENDPOINT": Aim(),
    "START_TEST": Aim("webhook_endpoint"),
    "FIND_DELIVERY": Aim("webhook_delivery"),
    "DELETE_WEBHOOK_ENDPOINT": Aim("webhook_endpoint"),
    "DISABLE_WEBHOOK_ENDPOINT": Aim("webhook_endpoint"),
    "CLAIM_DELIVERY": Aim("webhook_delivery", prepare=TELL_OF_A_BREAK),
    "SETTLE_DELIVERY": Aim("webhook_delivery"),
    "FAIL_DELIVERY": Aim("webhook_delivery", values={"attempts": 1}),
    "STORE_SET_ASIDE": Aim(values={"rows": SET_ASIDE}),
    "CLEAR_SET_ASIDE": Aim(values={"external_ids": '["one"]'}),
    "CLEAR_UNSEEN_SET_ASIDE": Aim("sync_log", prepare=READ_LATER),
    "LIST_SET_ASIDE": Aim(),
    "LIST_KEPT_RECORDS": Aim(),
    "NOTE_RETRIED": Aim("set_aside", values={"rows": RETRIED}),
    "CLEAR_SKIPPED": Aim(values={"external_ids": '["one"]'}),
    "CLEAR_UNSEEN_SKIPPED": Aim("sync_log", prepare=READ_LATER),
    "COUNT_SKIPPED": Aim(),
    "KEEP_ADDRESS_KEY": Aim(
        "studio", values={"address_key": b"intruder", "lost": None}, prepare="UPDATE studio SET address_key = NULL"
    ),
    "FIND_WORKING_CONNECTION": Aim("platform_connection", values={"account_id": "victim external_account_id"}),
    "FORGET_ACCOUNT": Aim("platform_connection", values={"account_id": "victim external_account_id"}),
    "NOTE_ACCOUNT_EVENT": Aim("platform_connection", values={"at": NOW}),
}


RECORDS_MODULE = sync_store.__name__
RECORDS = (
    pages.booking("one"),
    pages.inquiry("one"),
    pages.campaign("one", name="intruder"),
    pages.ad("one"),
    pages.review("one"),
    pages.content("one", caption="intruder"),
    pages.metric("one"),
)


def constants() -> dict[str, Query[Any]]:
    """Every query constant of the data layer, by its name."""
    found = pkgutil.walk_packages(chalicelib.data.__path__, "chalicelib.data.")
    modules = [importlib.import_module(module.name) for module in found]
    return {name: value for module in modules for name, value in vars(module).items() if isinstance(value, Query)}


def built() -> Iterator[tuple[str, Query[Any], Aim]]:
    """The queries that functions build: the function with what it is given, what it builds, and how that is aimed."""
    for record, guarded in itertools.product(RECORDS, (False, True)):
        table = pages.TABLE_OF[type(record)]
        values = {"rows": msgspec.json.encode([record]).decode(), "fetched_at": datetime.max.replace(tzinfo=UTC)}
        query = sync_store._upsert_query(table, record.__struct_fields__, guarded)
        yield f"{RECORDS_MODULE}._upsert_query({table}, {guarded})", query, Aim(values=values)
    one = Aim("sync_log", values={"external_ids": ["one"]})
    for table in (name for name, synced in SYNCED.items() if synced.on_delete is not None):
        yield f"{RECORDS_MODULE}._counting({table})", sync_store._counting(table, "true"), one
        yield f"{RECORDS_MODULE}._remove_query({table})", sync_store._remove_query(table), one
        yield f"{RECORDS_MODULE}._sweep_query({table})", sync_store._sweep_query(table), one
        unseen = replace(one, prepare="DELETE FROM sync_seen")
        yield f"{RECORDS_MODULE}.missing_query({table})", sync_store.missing_query(table), unseen
    for table in SYNCED:
        aim = Aim(values={"rows": '[{"external_id": "one", "reason": "intruder"}]'})
        yield f"{skipped.__name__}.store_skipped_query({table})", skipped.store_skipped_query(table), aim


ATTACKS: dict[str, tuple[Query[Any], Aim]] = {
    **{name: (query, AIMS[name]) for name, query in constants().items() if name in AIMS},
    **{name: (query, aim) for name, query, aim in built()},
}
EXPECTED = sorted({*AIMS, *TENANTLESS, *CROSS_TENANT, *(name.partition("(")[0] for name, *_ in built())})


class AnyValue(dict[str, Any]):
    """Values for every parameter that a query has, aimed at the victim."""

    def __init__(self, rows: Rows, aim: Aim) -> None:
        run, connection = rows["sync_log"], rows["platform_connection"]
        row_id = rows[aim.row]["id"] if aim.row else uuid4()
        super().__init__(
            **dict.fromkeys(("access_token", "refresh_token", "request_hash", "wrapped"), b"intruder"),
            **dict.fromkeys(("code", "cursor", "provider", "name", "location", "body"), "intruder"),
            **dict.fromkeys(("message", "event_message", "run_message"), "intruder"),
            **dict.fromkeys(("seen", "created", "updated", "unchanged", "deleted", "refused", "api_calls"), 3),
            **dict.fromkeys(("token_expires_at", "resume_at", "next_run_at"), NOW),
            **dict.fromkeys(("before", "scopes"), None),
            **dict.fromkeys(("url", "problem"), "intruder"),
            secret=b"intruder",
            delays=[60],
            **dict.fromkeys(("column_name", "reason"), "intruder"),
            resealed=b"intruder",
            wrapped_under=["intruder"],
            row_id=row_id,
            data_key_id=uuid4(),
            everything=True,
            batch=10,
            **dict.fromkeys(("expires_in", "refresh_expires_in", "refresh_in", "warn_after"), 60),
            **dict.fromkeys(("needs_token", "by_hand", "same_refresh_token"), True),
            account_id=rows["connected_account"]["id"],
            waiting_seconds=300,
            stored=True,
            outcome="last",
            account_kind="calendar",
            **dict.fromkeys(("account_name", "status_code", "status_message", "kind"), "intruder"),
            id=row_id,
            run_id=run["id"],
            studio_id=VICTIM,
            connection_id=connection["id"],
            endpoint_id=rows["webhook_endpoint"]["id"],
            owner=run["lease_owner"] if aim.row == "sync_log" else connection["refresh_owner"],
            token_generation=connection["token_generation"],
            platform="google",
            stream="bookings",
            streams=["bookings"],
            table_name="booking",
            frequency="weekly",
            schedules=SCHEDULES,
            trigger="manual",
            key="one",
            time_zone="UTC",
            lease_seconds=60,
            delay_seconds=60,
            seconds=60,
            calls=1,
            api="calendar",
            deletions_confirmed=False,
            set_aside=3,
            skipped="{}",
            cooled_down_seconds=0,
            limit=50,
            most=50,
            idle=True,
            last=True,
            **periods(EDGES, DAYS),
        )
        self.update(aim.values)


def attempt(studio_id: UUID | None, query: Query[Any], rows: Rows, aim: Aim) -> Any:
    """What the query answers; None where the database refuses it."""
    try:
        with transaction(studio_id) as tx:
            return tx.run(query, **AnyValue(rows, aim))
    except DatabaseError as error:
        if sqlstate(error) not in REFUSED:
            raise
        return None


def test_every_query_has_an_attack_here() -> None:
    assert find_queries(ROOT / "chalicelib") == EXPECTED
    assert set(constants()) == AIMS.keys() | TENANTLESS | CROSS_TENANT
    assert {pages.TABLE_OF[type(record)] for record in RECORDS} == SYNCED.keys()
    assert TABLES.keys() < pages.TABLE_OF.keys()


@pytest.mark.parametrize("name", sorted(CROSS_TENANT))
def test_a_query_that_sees_across_studios_calls_one_function_and_nothing_else(name: str) -> None:
    sql = constants()[name].sql
    for number in range(1, 4):
        sql = sql.replace(array_of("x").replace(":x", f"${number}"), f"${number}")
    assert re.fullmatch(r"SELECT cross_tenant\.\w+\((\$1(, \$\d)*)?\)", sql)


@pytest.mark.parametrize("name", sorted(ATTACKS))
@pytest.mark.parametrize("actor", [INTRUDER, None], ids=["another studio", "no studio"])
def test_a_query_aimed_at_another_studio_reads_and_changes_nothing(
    name: str, actor: UUID | None, victim: Rows, superuser: pg8000.native.Connection
) -> None:
    query, aim = ATTACKS[name]
    if aim.prepare:
        superuser.run(aim.prepare)
    before = snapshot(superuser, VICTIM)
    answer = repr(attempt(actor, query, victim, aim))
    assert snapshot(superuser, VICTIM) == before
    assert "victim" not in answer
    ids = {str(row["id"]) for row in victim.values() if "id" in row}
    assert not [found for found in ids if found in answer]


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_the_same_query_reaches_its_own_studio(name: str, victim: Rows, superuser: pg8000.native.Connection) -> None:
    """Holds the attacks above: each would do something, were it not for the studio."""
    query, aim = ATTACKS[name]
    if aim.prepare:
        superuser.run(aim.prepare)
    before, nobodys = snapshot(superuser, VICTIM), attempt(None, query, victim, aim)
    own = attempt(VICTIM, query, victim, aim)
    assert own != nobodys or snapshot(superuser, VICTIM) != before


def booking(external_id: str) -> BookingRecord:
    return BookingRecord(
        external_id=external_id,
        title="intruder",
        event_type="other",
        event_date=NOW.date(),
        starts_at=NOW,
        ends_at=NOW,
        all_day=False,
        status="confirmed",
        booked_at=NOW,
    )


def test_a_page_for_another_studio_is_refused(victim: Rows) -> None:
    account = victim["connected_account"]["id"]

    def store() -> None:
        with transaction(INTRUDER) as tx:
            sync_store.upsert(tx, "booking", VICTIM, "google", [booking("one"), booking("two")], account_id=account)

    refused(store, "42501")


def test_a_page_removal_or_sweep_with_the_same_keys_touches_no_other_studio(
    victim: Rows, superuser: pg8000.native.Connection
) -> None:
    superuser.run("UPDATE account_position SET read_started_at = 'infinity'")  # after whatever is stored here
    ((own_run,),) = superuser.run("SELECT id FROM sync_log WHERE studio_id = :studio", studio=INTRUDER) or [[None]]
    (((account,),),) = (superuser.run("SELECT account_ids[1] FROM booking WHERE studio_id = :id", id=INTRUDER),)
    before = snapshot(superuser, VICTIM)
    with transaction(INTRUDER) as tx:
        outcome = sync_store.upsert(
            tx, "booking", INTRUDER, "google", [booking("one"), booking("two")], account_id=account
        )
        assert (outcome.created, outcome.updated) == (1, 1)
        assert sync_store.remove(tx, "booking", "google", ["one"], account_id=account) == 1
        assert (
            sync_store.sweep(tx, "booking", "google", FullRead(victim["sync_log"]["id"], account, "bookings"))
            == Removed()
        )
        assert sync_store.sweep(tx, "booking", "google", FullRead(own_run, account, "bookings")) == Removed(count=1)
    assert snapshot(superuser, VICTIM) == before

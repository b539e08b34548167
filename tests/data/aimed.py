"""Every query of the data layer with its aim, and values for whatever parameters it has."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from chalicelib.data.metrics import periods
from chalicelib.data.postgres.query import Query
from tests.data.aiming import CROSS_TENANT, Aim, aims_of, every_built, queries
from tests.data.attack import VICTIM
from tests.data.rows import NOW, Rows

CONSTANTS = queries()
AIMS = {module: aims_of(module) for module in CONSTANTS}
BUILT = every_built()
ATTACKS: dict[str, tuple[Query[Any], Aim]] = {
    **{
        name: (constants[name], aim)
        for module, constants in CONSTANTS.items()
        for name, aim in AIMS[module].items()
        if isinstance(aim, Aim)
    },
    **{each.name: (each.query, each.aim) for each in BUILT},
}
ACROSS_STUDIOS = {
    name: CONSTANTS[module][name] for module, aims in AIMS.items() for name, aim in aims.items() if aim is CROSS_TENANT
}
DAYS = [date(2026, 5, 1), date(2026, 6, 1)]
EDGES = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in DAYS]
SCHEDULES = '[{"stream": "bookings", "frequency": "daily", "next_run_at": "2026-05-04T00:00:00Z"}]'


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
            **dict.fromkeys(("before", "scopes", "connection"), None),
            **dict.fromkeys(("url", "problem"), "intruder"),
            secret=b"intruder",
            delays=[60],
            **dict.fromkeys(("delay", "retry_after"), 60),
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

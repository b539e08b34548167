"""Rows and connections that the API tests start from."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pg8000.native

from dev.sandbox import issue_token
from tests.conftest import NOON, Answer, Api
from tests.data.rows import connection_of


def connect_google(api: Api, account: str = "empty", **changes: Any) -> Answer:
    """Connects Google with a grant that the sandbox has issued."""
    grant = issue_token(account)
    body = {"platform": "google", "accessToken": grant.access_token, "refreshToken": grant.refresh_token}
    answer = api.post("/api/connections", {**body, "expiresIn": 3600, "scopes": list(grant.scopes), **changes})
    assert answer.status == 201, answer.text
    return answer


@contextmanager
def renamed(superuser: pg8000.native.Connection, what: str, name: str, to: str) -> Iterator[None]:
    """Makes a table or function temporarily missing."""
    superuser.run(f"ALTER {what} {name} RENAME TO {to}")
    try:
        yield
    finally:
        schema, dot, _ = name.rpartition(".")
        superuser.run(f"ALTER {what} {schema}{dot}{to} RENAME TO {name.rpartition('.')[2]}")


def insert(superuser: pg8000.native.Connection, table: str, **values: Any) -> UUID:
    """Inserts a row into any table, bypassing the policies; returns its id."""
    names = ", ".join(values)
    marks = ", ".join(f":given_{name}" for name in values)
    parameters = {f"given_{name}": value for name, value in values.items()}
    rows = superuser.run(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", **parameters)
    return UUID(str(rows[0][0]))


def seed_runs(superuser: pg8000.native.Connection, studio_id: UUID, count: int) -> None:
    """Finished runs of the studio's Google connection, alternating between both streams; two out of three succeeded."""
    superuser.run(
        """
        INSERT INTO sync_log (studio_id, connection_id, platform, stream, trigger, status, started_at, finished_at)
        SELECT c.studio_id, c.id, 'google', CASE n % 2 WHEN 0 THEN 'bookings' ELSE 'inquiries' END, 'schedule',
               CASE n % 3 WHEN 0 THEN 'failed' ELSE 'succeeded' END, now(), now()
        FROM platform_connection AS c, generate_series(1, :count) AS n
        WHERE c.studio_id = :studio_id AND c.platform = 'google'
        """,
        studio_id=studio_id,
        count=count,
    )


def seed_account(superuser: pg8000.native.Connection, studio_id: UUID) -> None:
    """The calendar of the studio's Google connection."""
    superuser.run(
        "INSERT INTO connected_account (studio_id, connection_id, kind, external_id)"
        " SELECT c.studio_id, c.id, 'calendar', 'lena@example.com' FROM platform_connection AS c"
        " WHERE c.studio_id = :studio_id AND c.platform = 'google'",
        studio_id=studio_id,
    )


PERSON = "md5(CAST(:studio_id AS text) || n)::uuid"
"""A person of each seeded inquiry, and the id of the conversation"""


def seed_figures(superuser: pg8000.native.Connection, studio_id: UUID, count: int) -> None:
    """`count` rows of each kind that the metrics add up, all in the days just before the tests' fixed day."""
    day = NOON - timedelta(days=1)
    connection = connection_of(studio_id)
    own = {"studio_id": studio_id, "connection_id": connection, "platform": "google"}
    content = insert(superuser, "content", **own, external_id="c", kind="post", status="published")
    campaign = insert(superuser, "ad_campaign", **own, external_id="a", name="Ads", status="active")
    source = f"'{connection}'::uuid, 'google'"
    for into, select in (
        (
            "content_metric (studio_id, content_id, measured_at, views, likes)",
            f"'{content}'::uuid, day - n * interval '1 second', 1000 - n, 10",
        ),
        (
            "ad_metric (studio_id, campaign_id, day, spend_minor, currency, impressions)",
            f"'{campaign}'::uuid, day::date - n, 100, 'EUR', 10",
        ),
        (
            "review (studio_id, connection_id, platform, external_id, rating, reviewed_at)",
            f"{source}, n::text, 5, day",
        ),
        (
            "person (studio_id, id)",
            PERSON,
        ),
        (
            "conversation (studio_id, id, person_id)",
            f"{PERSON}, {PERSON}",
        ),
        (
            "inquiry (studio_id, connection_id, platform, external_id, person_id, conversation_id, certainty, reason,"
            " channel, received_at)",
            f"{source}, n::text, {PERSON}, {PERSON}, 'lead', 'form', 'email', day",
        ),
        (
            "booking (studio_id, connection_id, platform, external_id, event_type, event_date, status, booked_at)",
            f"{source}, n::text, 'wedding', day::date, 'confirmed', day",
        ),
    ):
        superuser.run(
            f"""
            INSERT INTO {into} SELECT CAST(:studio_id AS uuid), {select}
            FROM generate_series(1, CAST(:count AS int)) AS n, CAST(:day AS timestamptz) AS day
            """,
            studio_id=studio_id,
            count=count,
            day=day,
        )


class Rows:
    """Inserts rows for one studio; days are in March 2026 unless a full timestamp is passed."""

    def __init__(self, superuser: pg8000.native.Connection, studio_id: UUID) -> None:
        self._superuser, self._studio_id = superuser, studio_id
        self._count = 0

    def _insert(self, table: str, **values: Any) -> UUID:
        if platform := values.get("platform"):
            values.setdefault("connection_id", connection_of(self._studio_id, platform))
        return insert(self._superuser, table, studio_id=self._studio_id, **values)

    def _new_id(self) -> str:
        self._count += 1
        return str(self._count)

    def content(self, platform: str = "google") -> UUID:
        return self._insert("content", platform=platform, external_id=self._new_id(), kind="post", status="published")

    def measure(self, content: UUID, day: float | str, views: int, **counts: int) -> None:
        self._insert("content_metric", content_id=content, measured_at=moment(day), views=views, **counts)

    def campaign(self, platform: str = "google") -> UUID:
        return self._insert(
            "ad_campaign", platform=platform, external_id=self._new_id(), name="Spring", status="active"
        )

    def spend(self, campaign: UUID, day: int, minor: int, currency: str = "EUR", **counts: float) -> None:
        on = date(2026, 3, day)
        self._insert("ad_metric", campaign_id=campaign, day=on, spend_minor=minor, currency=currency, **counts)

    def review(self, day: float | str, rating: int, platform: str = "google") -> None:
        self._insert("review", platform=platform, external_id=self._new_id(), rating=rating, reviewed_at=moment(day))

    def inquiry(self, day: float | str, status: str = "new", platform: str = "google", certainty: str = "lead") -> None:
        self._insert(
            "inquiry",
            platform=platform,
            external_id=self._new_id(),
            **self.conversation(),
            certainty=certainty,
            reason="form",
            channel="email",
            received_at=moment(day),
            status=status,
        )

    def conversation(self) -> dict[str, UUID]:
        """Of a new person, as an inquiry names both."""
        person_id = self._insert("person")
        return {"person_id": person_id, "conversation_id": self._insert("conversation", person_id=person_id)}

    def booking(self, day: float | str, minor: int | None = None, status: str = "confirmed", **more: str) -> None:
        currency = None if minor is None else "EUR"
        values = {"platform": "google", "event_type": "wedding", "currency": currency, **more}
        self._insert(
            "booking",
            external_id=self._new_id(),
            event_date=date(2027, 6, 1),
            booked_at=moment(day),
            value_minor=minor,
            status=status,
            **values,
        )


def moment(day: float | str) -> datetime:
    if isinstance(day, str):
        return datetime.fromisoformat(day)
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day - 1)

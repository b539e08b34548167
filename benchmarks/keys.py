"""Key rotation: data keys re-wrapped, studios rotated with their sealed values, studios skipped."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from benchmarks.handlers import TOKENS, quiet
from benchmarks.server import Server, configure
from benchmarks.table import Row, Table
from chalicelib.secret import Secret
from chalicelib.services.connections.connections import create_connection
from chalicelib.services.connections.tokens import Tokens
from chalicelib.services.operations.erasures import erase_studio
from chalicelib.services.operations.key_rotation import rewrap_data_keys, rotate_data_keys
from chalicelib.services.webhook_endpoints import create_webhook_endpoint

PLATFORMS = ("google", "meta")
SEALED = 5
"""Values of a studio: two tokens of each connection, and the secret of a webhook"""
INQUIRIES = """
    WITH people AS (
        INSERT INTO person (studio_id) SELECT :studio_id FROM generate_series(1, :count) RETURNING studio_id, id
    ), conversations AS (
        INSERT INTO conversation (studio_id, person_id) SELECT studio_id, id FROM people RETURNING *
    )
    INSERT INTO inquiry (
        studio_id, connection_id, platform, external_id, person_id, conversation_id, certainty, reason, channel,
        received_at
    )
    SELECT c.studio_id, c.id, c.platform, t.id::text, t.person_id, t.id, 'lead', 'form', 'email', now()
    FROM platform_connection AS c JOIN conversations AS t ON t.studio_id = c.studio_id
    WHERE c.studio_id = :studio_id AND c.platform = 'google'
"""
NOTE = (
    "Data keys are wrapped under ENCRYPTION_KEY on this machine; with KMS, add its response times: per data key one "
    "call to unwrap it, and two per KMS key to wrap it and to verify that. Sequentially, in one process."
)


def measure(quick: bool, server: Server) -> list[Table]:
    studios, rows = (4, 2_000) if quick else (200, 400_000)
    try:
        with quiet():
            ids = [_studio(server) for _ in range(studios)]
            _fill(server, ids[0], rows)
            configure(DATABASE_URL=server.urls.admin)
            now = datetime.now(UTC)
            table_rows = [
                _row("re-wrap a data key", studios, _rewrap),
                _row(f"rotate a studio with {SEALED} sealed values", studios, partial(_rotate, now)),
                _row("skip a studio that is done", studios, partial(_rotate, now)),
                _row(f"erase a studio of {rows:,} inquiries: per inquiry", rows, partial(_erase, ids[0])),
            ]
    finally:
        configure(DATABASE_URL=server.urls.joint)
    return [Table("Keys and erasures", ("what", "how many", "ms each", "per second"), table_rows, [NOTE])]


def _studio(server: Server) -> UUID:
    studio_id = server.new_studio()
    access, refresh = Secret(str(TOKENS["accessToken"])), Secret(str(TOKENS["refreshToken"]))
    for platform in PLATFORMS:
        create_connection(studio_id, platform, Tokens(access, refresh, None, None, expires_in=3600))
    create_webhook_endpoint(studio_id, "http://127.0.0.1:9/told")
    return studio_id


def _row(name: str, count: int, work: Callable[[], None]) -> Row:
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return name, count, seconds / count * 1000, count / seconds


def _fill(server: Server, studio_id: UUID, rows: int) -> None:
    superuser = server.connect(server.urls.superuser)
    superuser.run(INQUIRIES, studio_id=studio_id, count=rows)
    superuser.run("UPDATE data_key SET wrapped_under = NULL")
    superuser.close()


def _rewrap() -> None:
    assert rewrap_data_keys(dry_run=False, remaining_ms=_plenty).complete


def _rotate(made_before: datetime) -> None:
    assert rotate_data_keys(made_before, dry_run=False, remaining_ms=_plenty).complete


def _erase(studio_id: UUID) -> None:
    assert erase_studio(studio_id, dry_run=False, remaining_ms=_plenty).complete


def _plenty() -> int:
    return 900_000

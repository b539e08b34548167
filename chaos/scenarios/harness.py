"""The harness itself: it must notice rows that were deleted, duplicated and changed on purpose."""

import random

from chaos import audit
from chaos.environment import Environment
from chaos.scenario_kit import Proof, Size, at_work, concluded, connect

SABOTAGES = {
    "lost": """
        DELETE FROM booking WHERE id = (
            SELECT id FROM booking WHERE external_id NOT LIKE 'twin/%' ORDER BY random() LIMIT 1
        )
    """,
    "duplicated": """
        INSERT INTO booking
        SELECT (jsonb_populate_record(CAST(NULL AS booking), to_jsonb(b) || jsonb_build_object(
            'id', uuidv7(), 'platform', 'twin', 'external_id', 'twin/' || external_id
        ))).*
        FROM (SELECT * FROM booking WHERE external_id NOT LIKE 'twin/%' ORDER BY external_id DESC LIMIT 1) AS b
        ON CONFLICT DO NOTHING
    """,
    "wrong": """
        UPDATE inquiry SET subject = subject || '!' WHERE id = (
            SELECT id FROM inquiry WHERE subject NOT LIKE '%!' ORDER BY random() LIMIT 1
        )
    """,
    "unlogged": "DELETE FROM sync_log WHERE stream = 'inquiries'",
}


def sabotaged(environment: Environment, chance: random.Random, size: Size) -> Proof:
    """After a sync the comparison finds nothing; after each sabotage it finds exactly one more difference."""
    with at_work(environment, chance):
        connect(environment, size)
        environment.sync()
        found = concluded(environment)
        found.add(audit.counted_once(environment.sql))
        for kind, sabotage in SABOTAGES.items():
            noted = "wrong" if kind == "unlogged" else kind
            before = getattr(environment.difference(), noted)
            environment.sql(sabotage)
            if getattr(environment.difference(), noted) <= before:
                found.note(f"the comparison missed what was {kind}")
    return Proof(f"{len(SABOTAGES)} sabotages ({', '.join(SABOTAGES)})", found)

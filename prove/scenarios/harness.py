"""The harness itself: a database in which rows were lost, doubled and changed on purpose must be found so."""

import random

from prove import ledger
from prove.course import Proof, Size, at_work, concluded, connect
from prove.rig import Rig

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


def sabotaged(rig: Rig, chance: random.Random, size: Size) -> Proof:
    """After a sync the comparison finds nothing; after each sabotage it finds just one more."""
    with at_work(rig, chance):
        connect(rig, size)
        rig.sync()
        found = concluded(rig)
        found.add(ledger.counted_once(rig.sql))
        for kind, sabotage in SABOTAGES.items():
            noted = "wrong" if kind == "unlogged" else kind
            before = getattr(rig.difference(), noted)
            rig.sql(sabotage)
            if getattr(rig.difference(), noted) <= before:
                found.note(f"nobody saw what was {kind}")
    return Proof(f"{len(SABOTAGES)} sabotages ({', '.join(SABOTAGES)})", found)

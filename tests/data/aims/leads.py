"""Aims of the queries in `chalicelib/data/leads.py`."""

from uuid import UUID

from tests.data.aiming import TENANTLESS, Aim, AnyAim

PERSON, CONVERSATION = UUID(int=3), UUID(int=4)
ROWS = {
    "people": f'[{{"id": "{PERSON}", "name": "intruder"}}]',
    "identities": "[]",
    "conversations": f'[{{"id": "{CONVERSATION}", "person_id": "{PERSON}"}}]',
    "threads": f'[{{"id": "{UUID(int=5)}", "external_id": "1", "conversation_id": "{CONVERSATION}", "channel": "x"}}]',
    "messages": "[]",
    "inquiries": "[]",
}

AIMS: dict[str, AnyAim] = {
    "LOCK_LEADS": TENANTLESS,
    "LOOK_UP_LEADS": Aim(values={"thread_ids": ["one"], "addresses": ["one"], "counterparts": "[]", "ids": 1}),
    "STORE_LEADS": Aim(values=ROWS),
}

"""Aims of the queries in `chalicelib/data/sealed.py`."""

from uuid import UUID

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "LIST_SEALED_VALUES": Aim(values={"table_name": "", "row_id": UUID(int=0)}),
    "RESEAL": Aim(
        "webhook_endpoint", values={"table_name": "webhook_endpoint", "column_name": "secret", "sealed": b"victim"}
    ),
    "DELETE_UNUSED_KEYS": Aim(prepare="UPDATE data_key SET retired_at = now() - interval '2 hours'"),
}

"""Aims of the queries in `chalicelib/data/api_keys.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "FIND_API_KEY": CROSS_TENANT,
    "CHARGE_API_KEY": CROSS_TENANT,
    "LIST_API_KEYS": Aim(),
    "INSERT_API_KEY": Aim(values={"expires_at": None, "scopes": ["admin"], "secret_hash": b"hash"}),
    "REVOKE_API_KEY": Aim("api_key"),
    "LOCK_API_KEY": Aim("api_key"),
    "END_API_KEY": Aim("api_key", values={"hours": 1}),
}

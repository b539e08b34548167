"""Aims of the queries in `chalicelib/data/connection_state.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "INSERT_CONNECTION": Aim(
        "platform_connection",
        values={"token_generation": 8, "account_id": "intruder"},
        prepare="UPDATE platform_connection SET status = 'disabled'",
    ),
    "REPLACE_TOKENS": Aim("platform_connection"),
    "LEASE_REFRESH": Aim("platform_connection"),
    "FAIL_REFRESH": Aim("platform_connection"),
    "FAIL_CONNECTION": Aim("platform_connection", values={"status": "revoked"}, prepare="DELETE FROM sync_log"),
    "RECOVER_CONNECTION": Aim("platform_connection", prepare="UPDATE platform_connection SET status = 'error'"),
    "DISCONNECT": Aim("platform_connection", values={"revocation": "revoked", "account_id": None}),
    "CLAIM_DUE_REFRESHES": CROSS_TENANT,
    "GRANT_IS_SHARED": CROSS_TENANT,
}

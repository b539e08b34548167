"""Aims of the queries in `chalicelib/data/pending_grants.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

KEEP_PENDING = "UPDATE pending_grant SET expires_at = 'infinity'"
AIMS: dict[str, AnyAim] = {
    "HOLD_GRANT": Aim("oauth_state", values={"code_hash": b"new", "warnings": "[]"}),
    "FIND_GRANT_BY_CODE": Aim(values={"code_hash": b"victim"}, prepare=KEEP_PENDING),
    "TAKE_GRANT": Aim("pending_grant", values={"code_hash": b"victim"}, prepare=KEEP_PENDING),
    "FIND_EXPIRED_GRANT": Aim("pending_grant", prepare="UPDATE pending_grant SET code_hash = NULL"),
    "LIST_PENDING_GRANTS": Aim(),
    "FIND_PENDING_GRANT": Aim("pending_grant"),
    "DELETE_PENDING_GRANT": Aim("pending_grant"),
    "CLAIM_EXPIRED_GRANTS": CROSS_TENANT,
    "END_ACCOUNT_GRANTS": CROSS_TENANT,
}

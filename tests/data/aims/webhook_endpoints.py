"""Aims of the queries in `chalicelib/data/webhook_endpoints.py`."""

from tests.data.aiming import CROSS_TENANT, TENANTLESS, Aim, AnyAim

TELL_OF_A_BREAK = "UPDATE connection_event SET kind = 'failed'"
AIMS: dict[str, AnyAim] = {
    "LOCK_WEBHOOK_ENDPOINTS": TENANTLESS,
    "LIST_WEBHOOK_ENDPOINTS": Aim(),
    "DRAFT_WEBHOOK_ENDPOINT": Aim(),
    "INSERT_WEBHOOK_ENDPOINT": Aim(),
    "DELETE_WEBHOOK_ENDPOINT": Aim("webhook_endpoint"),
    "DISABLE_WEBHOOK_ENDPOINT": Aim("webhook_endpoint"),
    "START_TEST": Aim("webhook_endpoint"),
    "FIND_DELIVERY": Aim("webhook_delivery"),
    "CLAIM_DUE_DELIVERIES": CROSS_TENANT,
    "CLAIM_DELIVERY": Aim("webhook_delivery", prepare=TELL_OF_A_BREAK),
    "SETTLE_DELIVERY": Aim("webhook_delivery"),
    "FAIL_DELIVERY": Aim("webhook_delivery", values={"attempts": 1}),
    "POSTPONE_DELIVERY": Aim("webhook_delivery", values={"attempts": 1}),
}

"""What a person has to do about a code: of a connection that broke, or of a run that failed."""

from collections.abc import Mapping
from typing import Literal

from chalicelib.data.rows import Row

Action = Literal[
    "none",
    "reconnect",
    "grant_scopes",
    "fix_account",
    "ask_administrator",
    "confirm_deletions",
    "resume",
    "wait",
    "contact_support",
]
"""`reconnect` and `grant_scopes`: connect again. `fix_account`: change something in the account at the platform, or
connect another one. `ask_administrator`: the one of the account's organization. `wait`: it is tried again.
`contact_support`: it is our matter.
"""


class Reason(Row):
    code: str
    message: str
    action: Action
    """What a person has to do about it"""


CODES: Mapping[Action, frozenset[str]] = {
    "reconnect": frozenset(
        {"reconnect_required", "token_expired", "token_revoked", "business_not_found", "business_moved"}
    ),
    "grant_scopes": frozenset({"permission_missing", "scopes_missing"}),
    "fix_account": frozenset(
        {"service_not_enabled", "mailbox_not_enabled", "calendar_not_enabled", "business_not_shown", "account_gone"}
    ),
    "ask_administrator": frozenset({"blocked_by_administrator"}),
    "wait": frozenset(
        {"platform_unavailable", "platform_rate_limited", "platform_down", "quota_spent", "token_being_refreshed"}
    ),
}
"""For every other code: contact_support."""
OF_THE_STUDIO: tuple[Action, ...] = ("reconnect", "grant_scopes", "fix_account", "ask_administrator")
"""What the studio itself has to do; until then the same will happen again."""


def action_of(code: str) -> str:
    """SQL for the action about a code, which is SQL as well."""
    cases = " ".join(f"WHEN {code} IN {_listed(codes)} THEN '{action}'" for action, codes in CODES.items())
    return f"CASE {cases} ELSE 'contact_support' END"


def codes_of_the_studio() -> str:
    """SQL for the list of the codes about which the studio itself has to do something."""
    return _listed(frozenset().union(*(CODES[action] for action in OF_THE_STUDIO)))


def _listed(codes: frozenset[str]) -> str:
    return "(" + ", ".join(f"'{code}'" for code in sorted(codes)) + ")"

"""Why a connection or a stream has its state: codes and facts. chalicelib/services/explain.py puts them into words."""

from enum import StrEnum

from chalicelib.data.postgres.rows import Row


class Code(StrEnum):
    """The codes that statements themselves return. All others were stored with an error, most of them with its
    message."""

    TOKEN_EXPIRED = "token_expired"  # noqa: S105  not a secret
    REFRESH_FAILING = "refresh_failing"
    CONNECTION_NOT_ACTIVE = "connection_not_active"
    DEFERRED = "deferred"
    NO_WORKER = "no_worker"
    DELETIONS_REFUSED = "deletions_refused"
    PAUSED = "paused"


class ReasonFacts(Row):
    code: str
    message: str | None
    """The message that was stored with the code"""
    account: str | None
    """The name of the account, if the reason concerns one of several"""


def reason_facts(code: str, message: str = "NULL", account: str = "NULL") -> str:
    """SQL for ReasonFacts of SQL; a Code is a literal."""
    value = f"'{code}'" if isinstance(code, Code) else code
    return f"json_build_object('code', {value}, 'message', {message}, 'account', {account})"

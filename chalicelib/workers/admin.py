"""Administration: an operator's command as JSON, `{"command": "studio create", "name": "..."}`, and its result."""

import json
from typing import Any
from uuid import UUID

import msgspec
from chalice.app import Blueprint

from chalicelib import logs
from chalicelib.data.audit import acting_as
from chalicelib.errors import AppError, BadRequest, FieldProblem, InvalidInput, SettingsError
from chalicelib.runtime.decoding import decode_values
from chalicelib.runtime.invocation import Invocation
from chalicelib.runtime.jobs import job_invocation
from chalicelib.secret import Secret
from chalicelib.settings import get_settings

blueprint = Blueprint(__name__)


class CommandFailed(Exception):
    """Raised, not returned, so that Lambda reports a function error to the caller. Its text is JSON."""

    def __init__(self, error: AppError, request_id: str | None) -> None:
        message = str(error) if isinstance(error, SettingsError) else error.message
        fields = [{"field": problem.field, "problem": problem.problem} for problem in error.fields]
        self.error = {"code": error.code, "message": message, "fields": fields, "requestId": request_id}
        super().__init__(json.dumps({"error": self.error}))


@blueprint.lambda_function(name="admin")
def admin(event: Any, context: Any) -> Any:
    """Raises CommandFailed. A failed command has done nothing, or resumes when it is repeated: Lambda may retry."""
    with job_invocation("admin", context) as running:
        try:
            return _answer(event, context, running)
        except AppError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  Lambda would log the exception without masking secrets
            failure = AppError(internal=type(error).__name__)
            failure.__cause__ = error
        if failure.is_fault:
            running.fail(failure)
        else:
            running.fields["code"] = failure.code
    raise CommandFailed(failure, getattr(context, "aws_request_id", None))


def _answer(event: Any, context: Any, running: Invocation) -> Any:
    # Chalice imports this module with the API, whose cold start does not need the following imports.
    from chalicelib.services.operations.commands import COMMANDS

    if not isinstance(event, dict):
        raise BadRequest("A command must be a JSON object")
    name, fields = event.get("command"), {key: value for key, value in event.items() if key != "command"}
    kind = COMMANDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidInput(fields=[FieldProblem("command", f"must be one of {', '.join(COMMANDS)}")])
    running.fields["command"] = name
    get_settings()
    with logs.bound(command=name), acting_as("admin"):
        command = decode_values(fields, kind)
        answer = command.run(context.get_remaining_time_in_millis)
        logs.event("admin.done", **{**_audited(command), **_audited(answer)})
    return msgspec.to_builtins(answer, enc_hook=_shown)


def _audited(told: Any) -> dict[str, Any]:
    """What is logged of a command and its result: ids and numbers, no texts and above all no keys."""
    return {name: value for name, value in msgspec.structs.asdict(told).items() if isinstance(value, UUID | bool | int)}


def _shown(value: Any) -> Any:
    """The only place where a secret leaves: a newly created API key, in the result for its requester."""
    if not isinstance(value, Secret):
        raise TypeError(type(value).__name__)
    return value.reveal()

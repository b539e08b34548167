"""Errors as RFC 9457 problem documents: a stable code, the request's id, and for bad input each field."""

from collections.abc import Callable
from math import ceil
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from chalicelib import clock
from chalicelib.errors import AppError, ConnectionChoice, FieldProblem, PlatformError, SeveralConnections, Throttled

CONTENT_TYPE = "application/problem+json"
UNTOLD_WAIT_SECONDS = 30
"""What a caller is asked to wait when a platform names no time."""
LONGEST_WAIT_SECONDS = 86_400


class Problem(msgspec.Struct, kw_only=True, rename="camel"):
    """An error as a problem document (RFC 9457). Branch on `code`: it is stable, the other texts are for people."""

    type: str
    """A URN made of the code: `urn:ansel:problem:{code}`."""
    title: str
    """What kind of problem it is, in a few words for a person."""
    status: int
    """The HTTP status of this response."""
    detail: str
    """What happened and what to do about it, in a sentence for a person."""
    code: Annotated[str, Meta(examples=["connection_not_found"])]
    """The stable code of the error. The description of this document lists them by status."""
    request_id: str
    """The id of the request; quote it when you contact support."""
    errors: list[FieldProblem] = []
    """Every invalid field of the request, for the code `invalid_input`; otherwise empty."""
    connections: list[ConnectionChoice] = []
    """The connections that `?connection=` may name, for the code `several_connections`; otherwise empty."""


def problem_of(error: AppError, request_id: str) -> Problem:
    return Problem(
        type=f"urn:ansel:problem:{error.code}",
        title=error.title,
        status=error.status,
        detail=error.message,
        code=error.code,
        request_id=request_id,
        errors=list(error.fields),
        connections=list(error.connections) if isinstance(error, SeveralConnections) else [],
    )


def headers_of_error(error: AppError) -> dict[str, str]:
    """Those of the error itself, and when to come back if a platform wants to be left alone until then."""
    resume_at = error.resume_at if isinstance(error, PlatformError) else None
    if resume_at is None and not isinstance(error, Throttled):
        return error.headers
    wait = (resume_at - clock.now()).total_seconds() if resume_at else UNTOLD_WAIT_SECONDS
    return {**error.headers, "Retry-After": str(min(max(1, ceil(wait)), LONGEST_WAIT_SECONDS))}


class ErrorFormat(NamedTuple):
    """How a route tells of an error: in the shape that its callers expect."""

    make: Callable[[AppError, str], msgspec.Struct]
    shape: type[msgspec.Struct]
    content_type: str


PROBLEM = ErrorFormat(problem_of, Problem, CONTENT_TYPE)

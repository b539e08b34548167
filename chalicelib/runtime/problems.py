"""Errors as RFC 9457 problem documents: a stable code, the request's id, and for bad input each field."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from chalicelib.errors import AppError, FieldProblem

CONTENT_TYPE = "application/problem+json"


class Problem(msgspec.Struct, kw_only=True, rename="camel"):
    """What went wrong, in words for the caller; `code` is stable, `detail` is not."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] = []
    """For bad input: each field and what is wrong with it"""


def problem_of(error: AppError, request_id: str) -> Problem:
    return Problem(
        type=f"urn:ansel:problem:{error.code}",
        title=error.title,
        status=error.status,
        detail=error.message,
        code=error.code,
        request_id=request_id,
        errors=list(error.fields),
    )


class Refusal(NamedTuple):
    """How a route tells of an error: in the shape that its callers expect."""

    make: Callable[[AppError, str], msgspec.Struct]
    shape: type[msgspec.Struct]
    content_type: str


PROBLEM = Refusal(problem_of, Problem, CONTENT_TYPE)

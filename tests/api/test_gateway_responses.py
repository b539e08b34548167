"""API Gateway's own responses, as merged into the template: problem documents like all others of the API."""

import msgspec
import pytest

from chalicelib.errors import AppError, TooManyRequests
from chalicelib.runtime.problems import CONTENT_TYPE, Problem
from chalicelib.runtime.security_headers import SECURITY_HEADERS
from deploy.gateway_responses import gateway_responses

RESPONSES = gateway_responses()
OF_THE_PRODUCT = {error.code: error for error in AppError.__subclasses__()} | {AppError.code: AppError}


@pytest.mark.parametrize("kind", RESPONSES)
def test_gateway_responses_are_problem_documents(kind: str) -> None:
    response = RESPONSES[kind]
    (body,) = response["responseTemplates"].values()
    problem = msgspec.json.decode(body, type=Problem)
    assert problem.status == int(response["statusCode"])
    assert problem.type == f"urn:ansel:problem:{problem.code}"
    assert problem.request_id == "$context.requestId"
    assert response["responseParameters"]["gatewayresponse.header.Content-Type"] == f"'{CONTENT_TYPE}'"
    for name, value in SECURITY_HEADERS.items():
        assert response["responseParameters"][f"gatewayresponse.header.{name}"] == f"'{value}'"
    assert ("gatewayresponse.header.Retry-After" in response["responseParameters"]) == (problem.status in (429, 503))
    error = OF_THE_PRODUCT[problem.code]
    assert (problem.title, problem.status) == (error.title, error.status)


def test_gateway_error_codes_are_used_by_no_other_error() -> None:
    others = [error.code for error in AppError.__subclasses__() if error is not TooManyRequests]
    assert TooManyRequests.code not in others


def test_an_unknown_path_is_not_found_rather_than_forbidden() -> None:
    assert RESPONSES["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"


def test_no_header_value_contains_the_quote_the_gateway_wraps_it_in() -> None:
    assert not [value for value in SECURITY_HEADERS.values() if "'" in value]


def test_default_gateway_responses_are_covered() -> None:
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= RESPONSES.keys()

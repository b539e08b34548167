"""What API Gateway answers by itself, as merged into the template: problems like any other of the API."""

import msgspec
import pytest

from chalicelib.errors import AppError, TooManyRequests
from chalicelib.runtime.problems import CONTENT_TYPE, Problem
from chalicelib.runtime.security_headers import SECURITY_HEADERS
from deploy.gateway_responses import gateway_responses

RESPONSES = gateway_responses()
OF_THE_PRODUCT = {error.code: error for error in AppError.__subclasses__()} | {AppError.code: AppError}


@pytest.mark.parametrize("kind", RESPONSES)
def test_a_response_of_the_gateway_is_a_problem_document(kind: str) -> None:
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


def test_no_code_of_the_gateway_is_taken_by_another_error() -> None:
    others = [error.code for error in AppError.__subclasses__() if error is not TooManyRequests]
    assert TooManyRequests.code not in others


def test_an_unknown_path_is_not_found_although_the_gateway_calls_it_forbidden() -> None:
    assert RESPONSES["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"


def test_no_value_of_a_header_would_end_the_quotes_that_the_gateway_wants_around_it() -> None:
    assert not [value for value in SECURITY_HEADERS.values() if "'" in value]


def test_whatever_else_the_gateway_refuses_is_covered() -> None:
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= RESPONSES.keys()

"""What API Gateway answers by itself, as merged into the template: problems like any other of the API."""

import json
from typing import Any

import msgspec
import pytest

from chalicelib.errors import AppError
from chalicelib.runtime.problems import CONTENT_TYPE, Problem
from tests.conftest import ROOT

RESOURCES = json.loads((ROOT / ".chalice" / "resources.json").read_text())
DEFINITION = RESOURCES["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
RESPONSES: dict[str, Any] = DEFINITION["x-amazon-apigateway-gateway-responses"]
OF_THE_PRODUCT = {error.code: error for error in AppError.__subclasses__()} | {AppError.code: AppError}
OF_THE_GATEWAY = {"too_many_requests"}


@pytest.mark.parametrize("kind", RESPONSES)
def test_a_response_of_the_gateway_is_a_problem_document(kind: str) -> None:
    response = RESPONSES[kind]
    (body,) = response["responseTemplates"].values()
    problem = msgspec.json.decode(body, type=Problem)
    assert problem.status == int(response["statusCode"])
    assert problem.type == f"urn:ansel:problem:{problem.code}"
    assert problem.request_id == "$context.requestId"
    assert response["responseParameters"]["gatewayresponse.header.Content-Type"] == f"'{CONTENT_TYPE}'"
    assert ("gatewayresponse.header.Retry-After" in response["responseParameters"]) == (problem.status in (429, 503))
    if problem.code not in OF_THE_GATEWAY:
        error = OF_THE_PRODUCT[problem.code]
        assert (problem.title, problem.status) == (error.title, error.status)


def test_an_unknown_path_is_not_found_although_the_gateway_calls_it_forbidden() -> None:
    assert RESPONSES["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"


def test_whatever_else_the_gateway_refuses_is_covered() -> None:
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= RESPONSES.keys()

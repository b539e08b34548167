"""The gateway in the template: one protected entry point, the name used by metrics, and no query strings in logs."""

import re

import pytest

from deploy.gateway_responses import gateway_responses
from tests.deploy.intrinsics import Account
from tests.deploy.templates import finished, transformed


def test_there_is_no_api_stage_without_limits_and_firewall() -> None:
    resources = transformed("prod")["Resources"].values()
    stages = [made["Properties"]["StageName"] for made in resources if made["Type"] == "AWS::ApiGateway::Stage"]
    (deployment,) = [made["Properties"] for made in resources if made["Type"] == "AWS::ApiGateway::Deployment"]
    assert stages == ["v1"]
    assert "StageName" not in deployment, "it would make a second stage, past throttling and firewall"


def test_every_route_is_throttled_for_all_callers() -> None:
    (settings,) = finished("prod")["Resources"]["RestAPI"]["Properties"]["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    account = Account(finished("prod"))
    assert account.resolve(settings["ThrottlingRateLimit"]) > 0
    assert account.resolve(settings["ThrottlingBurstLimit"]) > 0


def test_the_api_has_the_name_used_by_its_metrics() -> None:
    account = Account(transformed("prod"))
    api = account.value("Resources", "RestAPI", "Properties")
    metrics = account.value("Resources", "ApiErrorsAlarm", "Properties", "Metrics")
    looked_up = {
        dimension["Value"]
        for metric in metrics
        if "MetricStat" in metric
        for dimension in metric["MetricStat"]["Metric"]["Dimensions"]
        if dimension["Name"] == "ApiName"
    }
    # Either of the two, depending on how the document was imported.
    assert {api["Name"]} == {api["Body"]["info"]["title"]} == looked_up


def test_no_method_uses_signatures_so_signature_errors_mean_an_unknown_path() -> None:
    body = finished("prod")["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    assert "securityDefinitions" not in body
    methods = [method for path in body["paths"].values() for method in path.values()]
    assert methods
    assert not [method for method in methods if "security" in method]
    assert gateway_responses()["INVALID_SIGNATURE"] == gateway_responses()["MISSING_AUTHENTICATION_TOKEN"]


def test_no_gateway_log_contains_a_query_string() -> None:
    gateway = finished("prod")["Resources"]["RestAPI"]["Properties"]
    (settings,) = gateway["MethodSettings"]
    assert (settings["LoggingLevel"], settings["DataTraceEnabled"]) == ("OFF", False)
    fields = re.findall(r"\$context\.[\w.]+", gateway["AccessLogSetting"]["Fn::If"][1]["Format"])
    assert fields
    assert not {"$context.path", "$context.customDomain", "$context.requestOverride"}.intersection(fields)
    assert not any("query" in field.lower() for field in fields)


DOMAIN = {
    "DomainName": "api.example.com",
    "DomainCertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/1",
}


@pytest.mark.parametrize("choice", [{}, DOMAIN], ids=["without a domain", "with a domain"])
def test_nothing_older_than_tls_1_2_is_accepted(choice: dict[str, str]) -> None:
    account = Account(transformed("prod"), choice)
    for name in ["RestAPI", "Domain"]:
        made = account.value("Resources", name, "Properties")
        assert made["SecurityPolicy"].startswith("SecurityPolicy_TLS13_1_2_"), "TLS 1.3, and 1.2 at least"
        assert made["EndpointAccessMode"] == "STRICT", "API Gateway requires a mode with such a policy"


def test_with_a_domain_the_api_is_reached_at_no_other_host() -> None:
    for choice, disabled in [({}, False), (DOMAIN, True)]:
        account = Account(transformed("prod"), choice)
        body = account.value("Resources", "RestAPI", "Properties", "Body")
        assert body["x-amazon-apigateway-endpoint-configuration"] == {"disableExecuteApiEndpoint": disabled}


def test_a_domain_changes_the_stage_which_makes_api_gateway_disable_its_own_endpoint() -> None:
    variables = [
        Account(transformed("prod"), choice).value("Resources", "RestAPIv1Stage", "Properties", "Variables")
        for choice in ({}, DOMAIN)
    ]
    assert variables == [{"domain": "none"}, {"domain": "api.example.com"}]

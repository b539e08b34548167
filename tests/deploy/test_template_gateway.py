"""The gateway in the template: one protected entry point, the name used by metrics, and no query strings in logs."""

import re

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

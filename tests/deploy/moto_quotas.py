"""Quotas of an account, which a request changes at once: moto knows some of VPC only, and nobody can ask for more."""

import json
from typing import Any

from moto.awslambda import models as functions
from moto.awslambda import urls
from moto.awslambda.responses import LambdaResponse
from moto.servicequotas import models, responses
from moto.servicequotas.exceptions import NoSuchResource

Backend: Any = models.ServiceQuotasBackend
Functions: Any = LambdaResponse
Response: Any = responses.ServiceQuotasResponse
DEFAULT = {("ec2", "L-0263D0A3"): 5.0, ("vpc", "L-F678F1CE"): 5.0, ("lambda", "L-B99A9384"): 1000.0}
"""Elastic IP addresses, VPCs, concurrent executions: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html"""
_granted: dict[tuple[str, str], float] = {}


def patch() -> None:
    Backend.get_service_quota = _get
    Response.get_aws_default_service_quota = _get_default
    Response.request_service_quota_increase = _grant
    Functions.get_account_settings = _account_settings
    urls.url_paths[r"{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch


def _get(_backend: Any, service_code: str, quota_code: str) -> dict[str, Any]:
    """AWS has no applied value for some quotas that were never raised: here for VPCs."""
    key = (service_code, quota_code)
    if key not in DEFAULT or (service_code == "vpc" and key not in _granted):
        raise NoSuchResource
    return {"QuotaCode": quota_code, "ServiceCode": service_code, "Value": _granted.get(key, DEFAULT[key])}


def _get_default(response: Any) -> str:
    asked = json.loads(response.body)
    return json.dumps({"Quota": {**asked, "Value": DEFAULT[asked["ServiceCode"], asked["QuotaCode"]]}})


def _grant(response: Any) -> str:
    asked = json.loads(response.body)
    _granted[asked["ServiceCode"], asked["QuotaCode"]] = asked["DesiredValue"]
    return json.dumps({"RequestedQuota": {**asked, "Status": "APPROVED"}})


def _account_settings(response: Any) -> str:
    total = int(_granted.get(("lambda", "L-B99A9384"), 1000.0))
    backend = functions.lambda_backends[response.current_account][response.region]
    reserved = sum(int(each.reserved_concurrency or 0) for each in backend.list_functions())
    limits = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": total - reserved}
    return json.dumps({"AccountLimit": limits, "AccountUsage": {}})

"""Lambda without Docker: invoked functions run in a fresh Python from their zip; CloudFormation sets all properties."""

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from typing import Any
from urllib.parse import urlsplit

from moto.awslambda import models

Backend: Any = models.LambdaBackend
LambdaFunction: Any = models.LambdaFunction
RUN = """
import importlib, json, sys
class Context:
    aws_request_id = "b58ddd24-0000-4000-8000-000000000000"
    function_name = sys.argv[2]
    def get_remaining_time_in_millis(self):
        return int(sys.argv[3]) * 1000
module, name = sys.argv[1].rsplit(".", 1)
handler = getattr(importlib.import_module(module), name)
answer = handler(json.load(sys.stdin), Context())
sys.__stdout__.write("\\n" + json.dumps(answer))
"""
_list_event_source_mappings = Backend.list_event_source_mappings
_create_from_cloudformation = LambdaFunction.create_from_cloudformation_json.__func__
_update_from_cloudformation = LambdaFunction.update_from_cloudformation_json.__func__


def patch() -> None:
    LambdaFunction._invoke_lambda = _invoke
    LambdaFunction.create_from_cloudformation_json = classmethod(_create)
    LambdaFunction.update_from_cloudformation_json = classmethod(_update)
    Backend.list_event_source_mappings = _list_mappings


def _invoke(function: Any, event: Any) -> tuple[str, bool, str]:
    """The result, whether it failed, and the output. moto would start a container of the runtime's image."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(folder)
        ended = subprocess.run(
            [sys.executable, "-c", RUN, function.handler, function.function_name, str(function.timeout)],
            input=json.dumps(event),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": folder, **_reachable(function.environment_vars)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode:
        kind, _, message = ended.stderr.strip().rpartition("\n")[2].partition(": ")
        return json.dumps({"errorType": kind, "errorMessage": message}), True, ended.stderr
    written, _, answer = ended.stdout.rpartition("\n")  # its log lines precede its result
    return answer, False, written


def _list_mappings(backend: Any, event_source_arn: str, function_name: str) -> list[Any]:
    """moto compares a name with what the mapping was created with, which Chalice does with an ARN."""
    found = _list_event_source_mappings(backend, event_source_arn, "")
    name = (function_name or "").rpartition(":")[2]
    return [each for each in found if not name or each.function_arn.rpartition(":")[2] == name]


def _reachable(variables: dict[str, str]) -> dict[str, str]:
    """The same for a function whose database, if there is one, and whose AWS are on this machine: without TLS and IAM.

    No stage in the cloud allows that, so the function believes to be in `test`.
    """
    databases: dict[str, str] = json.loads(os.environ.get("LOCAL_DATABASES", "{}"))
    if not databases:
        return variables
    cloud = os.environ["AWS_ENDPOINT_URL"]
    found = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name, value in variables.items():
        if name.endswith("DATABASE_URL"):
            found[name] = databases[urlsplit(value).username or "ansel_owner"]
        elif name.endswith("QUEUE_URL"):
            found[name] = f"{cloud}{urlsplit(value).path}"
        elif not name.endswith(("DATABASE_AUTH", "DATABASE_SECRET_ARN")):
            found[name] = value
    return {**found, "ANSEL_STAGE": "test"}


def _create(cls: Any, /, name: str, resource: dict[str, Any], account_id: str, region_name: str, **kwargs: Any) -> Any:
    function = _create_from_cloudformation(cls, name, resource, account_id, region_name, **kwargs)
    return _complete(function, resource["Properties"])


def _update(
    cls: Any,
    /,
    original_resource: Any,
    new_resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
) -> Any:
    function = _update_from_cloudformation(
        cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name
    )
    return _complete(function, cloudformation_json["Properties"])


def _complete(function: Any, properties: dict[str, Any]) -> Any:
    """Function properties that moto's CloudFormation omits, or does not convert to a number."""
    function.environment_vars = {name: str(value) for name, value in function.environment_vars.items()}
    function.architectures = properties.get("Architectures", ["x86_64"])
    function.tracing_config = properties.get("TracingConfig", {"Mode": "PassThrough"})
    function.reserved_concurrency = properties.get("ReservedConcurrentExecutions")
    return function

"""The steps around a deployment: migrations before new code serves, and the health check afterwards."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import urllib3

from deploy.cloud import Cloud, DeployError, Stack, read_template, stack_name
from deploy.endpoint import Endpoint, find_endpoint
from deploy.releases import Code, Release, pinned
from deploy.storage import Bucket, checksum_of

ADMIN = "Admin"
"""The logical id of the admin function."""
HEALTH = "/api/health"


def admin_name(stage: str) -> str:
    return f"{stack_name(stage)}-admin"


@contextmanager
def admin_ahead(cloud: Cloud, stage: str, release: Release) -> Iterator[None]:
    """The admin function runs the release's code, and gets its previous code back if the block fails.

    CloudFormation changes code and resources together, so whatever must run before the new code serves runs here.
    """
    before = _deployed_admin(cloud, stage, release.bucket)
    try:
        _put_code(cloud, admin_name(stage), release.code(ADMIN))
        yield
    except Exception:
        _put_back(cloud, admin_name(stage), before)
        raise


def _put_back(cloud: Cloud, function: str, before: Code) -> None:
    """Restores the previous code unless it was overwritten meanwhile. The original failure is reported in any case."""
    try:
        _put_code(cloud, function, pinned(before))
    except DeployError as error:
        print(f"{function} did not get its previous code back: {error}", file=sys.stderr)


def _deployed_admin(cloud: Cloud, stage: str, bucket: Bucket) -> Code:
    """The code that the stack names, to which CloudFormation rolls back."""
    properties = read_template(cloud, stack_name(stage))["Resources"][ADMIN]["Properties"]
    place, architecture = properties["Code"], properties.get("Architectures", ["x86_64"])[0]
    return Code(replace(bucket, name=place["S3Bucket"]), place["S3Key"], properties["Runtime"], architecture)


def _put_code(cloud: Cloud, function: str, code: Code) -> None:
    functions = cloud.functions
    if functions.get_function_configuration(FunctionName=function)["Runtime"] != code.runtime:
        functions.update_function_configuration(FunctionName=function, Runtime=code.runtime)
        functions.get_waiter("function_updated_v2").wait(FunctionName=function)
    place = {"S3Bucket": code.bucket.name, "S3Key": code.key}
    version = {"S3ObjectVersion": code.version} if code.version else {}
    updated = functions.update_function_code(
        FunctionName=function, **place, **version, Architectures=[code.architecture]
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName=function)
    if code.sha256 and updated["CodeSha256"] != checksum_of(code.sha256):
        raise DeployError(f"{function} received different code than {code.key} is named for; it was not invoked")


def ensure_code(cloud: Cloud, stage: str, release: Release) -> None:
    """Each function must run the release's code: CloudFormation named an object, which may have changed since."""
    wanted = checksum_of(release.code_sha256)
    pages = cloud.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_name(stage))
    deployed = [
        resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["LogicalResourceId"] in release.functions
    ]
    others = [name for name in deployed if _code_of(cloud, name) != wanted]
    if others:
        raise DeployError(
            f"{', '.join(sorted(others))} runs different code than release {release.id}: somebody else deployed, or "
            "overwrote the release meanwhile. Deploy again"
        )


def _code_of(cloud: Cloud, function: str) -> str:
    return str(cloud.functions.get_function_configuration(FunctionName=function)["CodeSha256"])


def migrate(cloud: Cloud, stage: str, to: str | None = None) -> None:
    """Makes the admin function migrate, by default to what its code needs."""
    command = {"command": "migrate up"} | ({"to": to} if to else {})
    reached: object = None
    while True:
        answer = _invoke(cloud, admin_name(stage), command)
        print(f"migrated: {json.dumps(answer)}", flush=True)
        if answer.get("complete", True):
            return
        if answer.get("at") == reached:
            raise DeployError("the next migration takes longer than a function may run: see docs/admin.md, Migrations")
        reached = answer.get("at")


def _invoke(cloud: Cloud, function: str, command: dict[str, Any]) -> Any:
    """A command's result. A command that failed is a function error, reported as JSON."""
    answer = cloud.functions.invoke(FunctionName=function, Payload=json.dumps(command).encode())
    result = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" not in answer:
        return result
    error = _read_error(result.get("errorMessage", ""))
    if error.get("code") == "schema_ahead":
        return {"applied": [], "note": "the schema belongs to a later release and stays as it is"}
    message = error.get("message") or f"{result.get('errorType')}: {result.get('errorMessage')}"
    fields = "".join(f"; {wrong['field']} {wrong['problem']}" for wrong in error.get("fields", []))
    raise DeployError(f"`{command['command']}` failed: {message}{fields}")


def _read_error(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):  # the function itself failed: a timeout, or an import error
        return {}
    return told if isinstance(told, dict) else {}


def check(stack: Stack, url: str | None, wait_seconds: float) -> None:
    """The deployed API must report ok within `wait_seconds`. `url` ends before `/api`, like PUBLIC_URL."""
    endpoint = find_endpoint(stack, url)
    deadline = time.monotonic() + wait_seconds
    while (problem := _problem(endpoint)) is not None:
        if time.monotonic() > deadline:
            raise DeployError(
                f"{endpoint.url}{HEALTH} {problem}. To roll back: `make rollback`, which lists the releases, then "
                "again with the RELEASE before"
            )
        time.sleep(1)
    if endpoint.connects_to and (missing := endpoint.missing_record()):
        print(missing)


def _problem(endpoint: Endpoint) -> str | None:
    try:
        answer = endpoint.get(HEALTH)
        health = answer.json()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        return f"does not respond ({error})"
    if answer.status != 200 or health.get("status") != "ok":
        return f"returns {answer.status}: {json.dumps(health)}"
    print(f"{endpoint.url}{HEALTH} is ok, the schema is {health.get('migrations')} ({health.get('migrationsHead')})")
    return None

"""`python -m deploy.health_check`: a health check of a stage from outside, with an alarm, as a stack in us-east-1."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError, WaiterError

from deploy import template
from deploy.cloud import Cloud, DeployError, get_stack, stack_name
from deploy.endpoint import Endpoint, find_endpoint
from deploy.rollout import HEALTH
from deploy.stack import run, stage_name

TEMPLATE = Path(__file__).with_suffix(".yaml")
REGION = "us-east-1"
"""Where Route 53 publishes its metrics, whatever Region the API is in"""
UNCHANGED = "No updates are to be performed"


def health_check_name(stage: str) -> str:
    return f"{stack_name(stage)}-health-check"


def create(cloud: Cloud, there: Any, stage: str, *, url: str | None, email: str | None) -> None:
    """Or update it, for instance after the API got a domain. The stage's stack is read for what is not given."""
    endpoint = Endpoint(url.rstrip("/")) if url else find_endpoint(get_stack(cloud, stage), None)
    address = urlsplit(f"{endpoint.url}{HEALTH}")
    parameters = {
        "Stage": stage,
        "Host": address.netloc,
        "Path": address.path,
        "AlarmEmail": get_stack(cloud, stage).parameters.get("AlarmEmail", "") if email is None else email,
    }
    made = {
        "StackName": health_check_name(stage),
        "TemplateBody": json.dumps(template.read(TEMPLATE)),
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    }
    if _exists(there, stage):
        _update(there, made)
    else:
        there.create_stack(**made, OnFailure="DELETE")
        _wait(there, "stack_create_complete", stage)
    print(
        f"{address.geturl()} is asked every half minute from three Regions; the alarm ansel-{stage}-unreachable tells"
    )
    if not parameters["AlarmEmail"]:
        print(f"nobody is told yet: give --email, or subscribe to the topic {health_check_name(stage)} in {REGION}")
    if endpoint.connects_to and (missing := endpoint.missing_record()):
        print(missing)


def delete(there: Any, stage: str) -> None:
    there.delete_stack(StackName=health_check_name(stage))
    _wait(there, "stack_delete_complete", stage)
    print(f"nothing asks {stack_name(stage)} from outside")


def _update(there: Any, made: dict[str, Any]) -> None:
    try:
        there.update_stack(**made)
    except ClientError as error:
        if UNCHANGED not in str(error):
            raise
        return
    there.get_waiter("stack_update_complete").wait(StackName=made["StackName"], WaiterConfig={"Delay": 2})


def _wait(there: Any, waiter: str, stage: str) -> None:
    there.get_waiter(waiter).wait(StackName=health_check_name(stage), WaiterConfig={"Delay": 2, "MaxAttempts": 300})


def _exists(there: Any, stage: str) -> bool:
    try:
        there.describe_stacks(StackName=health_check_name(stage))
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.health_check", description=__doc__)
    parser.add_argument("--stage", required=True, type=stage_name)
    parser.add_argument("--region", help="of the stage (default: AWS_REGION or the profile's)")
    parser.add_argument("--url", help="the API's URL up to its /api (default: the stage's domain, or its EndpointURL)")
    parser.add_argument("--email", help="who is told (default: the stage's AlarmEmail)")
    parser.add_argument("--delete", action="store_true", help="delete the health check and its alarm")
    parser.set_defaults(run=_run)
    options = parser.parse_args(arguments)
    if options.delete:
        options.region = REGION  # that of the stage need not be known
    return run(options, "health check")


def _run(options: argparse.Namespace, cloud: Cloud) -> None:
    there = boto3.client("cloudformation", region_name=REGION)
    try:
        if options.delete:
            delete(there, options.stage)
        else:
            create(cloud, there, options.stage, url=options.url, email=options.email)
    except WaiterError as error:
        raise DeployError(f"{health_check_name(options.stage)} in {REGION}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())

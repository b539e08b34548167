"""The AWS account deployed to: its clients, and the state of a stage."""

import json
import os
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoRegionError

LONGEST_FUNCTION_SECONDS = 900
INFRASTRUCTURE = "-infrastructure"
"""Follows a stage's name in that of the stack that plain `chalice deploy` needs."""


class DeployError(Exception):
    """A failure that an operator can act on; its text is one line."""


@dataclass(frozen=True)
class Cloud:
    region: str
    cloudformation: Any
    functions: Any
    storage: Any
    identities: Any

    def client(self, service: str) -> Any:
        """For services that only some commands need. One that cannot be reached is given up within seconds."""
        impatient = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})
        return boto3.client(service, region_name=self.region, config=impatient)

    def account_id(self) -> str:
        return str(self.identities.get_caller_identity()["Account"])


@dataclass(frozen=True)
class Stack:
    """The current state of a stage in the account."""

    name: str
    id: str
    status: str
    parameters: dict[str, str]
    outputs: dict[str, str]

    @property
    def is_new(self) -> bool:
        """A change set was created for it, but none was ever executed."""
        return self.status == "REVIEW_IN_PROGRESS"

    @property
    def release(self) -> str | None:
        return self.outputs.get("Release")


def connect(region: str | None) -> Cloud:
    region = region or os.environ.get("AWS_REGION")  # like the AWS CLI; boto3 only knows AWS_DEFAULT_REGION
    # The response arrives when the function ends, and an invocation must not be sent twice.
    patient = Config(read_timeout=LONGEST_FUNCTION_SECONDS + 30, retries={"total_max_attempts": 1}, tcp_keepalive=True)
    try:
        cloudformation = boto3.client("cloudformation", region_name=region)
    except NoRegionError as error:
        raise DeployError("no region: give --region, or set AWS_REGION or the profile's region") from error
    return Cloud(
        cloudformation.meta.region_name,
        cloudformation,
        boto3.client("lambda", region_name=region, config=patient),
        boto3.client("s3", region_name=region),
        boto3.client("sts", region_name=region),
    )


def stack_name(stage: str) -> str:
    return f"ansel-{stage}"


def find_stack(cloud: Cloud, stage: str) -> Stack | None:
    name = stack_name(stage)
    try:
        found = cloud.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    if not found or found[0]["StackStatus"] == "DELETE_COMPLETE":
        return None
    return Stack(
        name,
        found[0]["StackId"],
        found[0]["StackStatus"],
        {given["ParameterKey"]: given["ParameterValue"] for given in found[0].get("Parameters", [])},
        {output["OutputKey"]: output["OutputValue"] for output in found[0].get("Outputs", [])},
    )


def get_stack(cloud: Cloud, stage: str) -> Stack:
    stack = find_stack(cloud, stage)
    if stack is None or stack.is_new:
        raise DeployError(
            f"there is no stack {stack_name(stage)} in {cloud.region}: deploy it first, or name its Region "
            "with --region"
        )
    return stack


def read_template(cloud: Cloud, stack: str) -> dict[str, Any]:
    """The stack's current template, after the transform."""
    body = cloud.cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    template: dict[str, Any] = json.loads(body) if isinstance(body, str) else body
    return template

"""A stage small enough to be deployed in each test, and an operator who deploys it as from a terminal."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import stack
from tests.deploy.projects import write_package
from tests.http_fake import Reply

BUCKET = "ansel-releases"
MIGRATES = 'def admin(event, context):\n    return {"version": %d, "did": event["command"]}\n'
FAILS = 'def admin(event, context):\n    raise RuntimeError("version %d: the lock could not be had")\n'
REFUSES = """
def admin(event, context):
    fields = '"fields": [{"field": "to", "problem": "is odd"}]'
    raise ValueError('{"error": {"code": "%s", "message": "version %%d refuses", ' + fields + "}}")
"""
STOPS = """
import pathlib
def admin(event, context):
    file = pathlib.Path("%s")
    at = len(file.read_text()) if file.exists() else 0
    file.write_text("x" * min(at + 1, %d))
    return {"version": %%d, "at": at, "complete": at == 2}
"""
HEALTHY = Reply({"status": "ok", "database": "ok", "migrations": "current", "migrationsHead": "0013"})
BAD = {
    "Type": "AWS::Lambda::EventSourceMapping",
    "Properties": {"EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:nowhere", "FunctionName": {"Ref": "Sync"}},
}
"""A resource whose creation fails"""
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}


def template(url: str, stage: str) -> dict[str, Any]:
    """The parts of a template that a deployment could get wrong."""
    function = {
        "Handler": "chalicelib.workers.admin.admin",
        "Runtime": "python3.11",
        "CodeUri": "./deployment.zip",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "MemorySize": 512,
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {
            "Label": {"Type": "String", "Default": "", "Description": "What it is called"},
        },
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
            "Key": {
                "Type": "AWS::KMS::Key",
                "DeletionPolicy": "RetainExceptOnCreate",
                "Properties": {"Description": {"Ref": "Label"}, "KeyPolicy": {}},
            },
            "Admin": {
                "Type": "AWS::Serverless::Function",
                "Properties": {**function, "FunctionName": f"ansel-{stage}-admin"},
            },
            "Sync": {
                "Type": "AWS::Serverless::Function",
                "Properties": {**function, "FunctionName": f"ansel-{stage}-sync"},
            },
        },
        "Outputs": {"EndpointURL": {"Value": f"{url}/"}},
    }


class Operator:
    """Deploys one stage, as from a terminal."""

    def __init__(self, stage: str, folder: Path, url: str, said: pytest.CaptureFixture[str]) -> None:
        self.stage = stage
        self.bucket = BUCKET
        self.template = template(url, stage)
        self._folder = folder
        self._said = said

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output."""
        code = stack.main([arguments[0], "--stage", self.stage, *arguments[1:]])
        said = self._said.readouterr()
        return code, said.out + said.err

    def package(self, version: int, admin: str = MIGRATES) -> Path:
        return write_package(self._folder / f"package-{version}", self.template, admin % version)

    def deploy(self, version: int, *arguments: str, admin: str = MIGRATES) -> tuple[int, str]:
        package = self.package(version, admin)
        return self.run(
            *(
                "deploy",
                "--bucket",
                self.bucket,
                "--create-bucket",
                "--package",
                str(package),
                "--wait",
                "0",
                "--yes",
            ),
            *arguments,
        )

    def codes(self) -> set[str]:
        """The code of all functions, as hashes."""
        functions = boto3.client("lambda")
        return {
            functions.get_function_configuration(FunctionName=f"ansel-{self.stage}-{name}")["CodeSha256"]
            for name in ("admin", "sync")
        }

    def status(self) -> str | None:
        try:
            found = boto3.client("cloudformation").describe_stacks(StackName=f"ansel-{self.stage}")["Stacks"]
        except ClientError:
            return None
        return str(found[0]["StackStatus"])

    def change_sets(self) -> list[str]:
        """The status of each stack that was not deleted."""
        found = boto3.client("cloudformation").list_change_sets(StackName=f"ansel-{self.stage}")["Summaries"]
        return [change["Status"] for change in found if change["StackName"] == f"ansel-{self.stage}"]

    def resources(self) -> set[str]:
        found = boto3.client("cloudformation").list_stack_resources(StackName=f"ansel-{self.stage}")
        return {resource["LogicalResourceId"] for resource in found["StackResourceSummaries"]}

    def parameters(self) -> dict[str, str]:
        found = boto3.client("cloudformation").describe_stacks(StackName=f"ansel-{self.stage}")["Stacks"][0]
        return {given["ParameterKey"]: given["ParameterValue"] for given in found["Parameters"]}

"""The health check from outside, against the local AWS: what it asks, in which Region, and whom it tells."""

import json
from collections.abc import Iterator
from zlib import crc32

import boto3
import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from deploy import health_check
from tests.deploy.intrinsics import REGION
from tests.deploy.projects import running_cloud


@pytest.fixture(scope="module", autouse=True)
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_cloud(tmp_path_factory.mktemp("cloud")):
        yield


class Stage:
    """A deployed stage in another Region than us-east-1."""

    def __init__(self, name: str, said: pytest.CaptureFixture[str]) -> None:
        self.name = name
        self._said = said
        self._at_home = boto3.client("cloudformation", region_name=REGION)

    def deploy(self, **outputs: str) -> None:
        given = [{"ParameterKey": "AlarmEmail", "ParameterValue": "operators@example.com"}]
        self._at_home.create_stack(
            StackName=f"ansel-{self.name}", TemplateBody=self._template(outputs), Parameters=given
        )

    @staticmethod
    def _template(outputs: dict[str, str]) -> str:
        template = {
            "Parameters": {"AlarmEmail": {"Type": "String"}},
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {name: {"Value": value} for name, value in outputs.items()},
        }
        return json.dumps(template)

    def run(self, *arguments: str) -> tuple[int, str]:
        code = health_check.main(["--stage", self.name, "--region", REGION, *arguments])
        said = self._said.readouterr()
        return code, said.out + said.err

    def checks(self) -> list[dict[str, object]]:
        (stack,) = boto3.client("cloudformation", region_name="us-east-1").describe_stack_resources(
            StackName=f"ansel-{self.name}-health-check", LogicalResourceId="HealthCheck"
        )["StackResources"]
        listed = boto3.client("route53").list_health_checks()["HealthChecks"]
        return [each["HealthCheckConfig"] for each in listed if each["Id"] == stack["PhysicalResourceId"]]

    def told(self) -> str:
        """Whom the alarm is sent to; the local AWS makes no subscriptions."""
        there = boto3.client("cloudformation", region_name="us-east-1")
        (stack,) = there.describe_stacks(StackName=f"ansel-{self.name}-health-check")["Stacks"]
        (told,) = [each["ParameterValue"] for each in stack["Parameters"] if each["ParameterKey"] == "AlarmEmail"]
        return str(told)


@pytest.fixture
def stage(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Stage:
    return Stage(f"s{crc32(request.node.name.encode())}", capsys)


def test_the_template_has_no_faults_in_the_region_of_route_53s_metrics() -> None:
    assert lint(health_check.TEMPLATE.read_text(), config=ManualArgs(regions=["us-east-1"])) == []


def test_without_a_domain_the_endpoint_of_api_gateway_is_asked_and_the_stages_address_told(stage: Stage) -> None:
    stage.deploy(EndpointURL="https://abc.execute-api.eu-central-1.amazonaws.com/v1/")
    code, said = stage.run()
    assert code == 0, said
    (check,) = stage.checks()
    assert check["FullyQualifiedDomainName"] == "abc.execute-api.eu-central-1.amazonaws.com"
    assert (check["Type"], check["ResourcePath"]) == ("HTTPS", "/v1/api/health")
    assert stage.told() == "operators@example.com"
    alarms = boto3.client("cloudwatch", region_name="us-east-1").describe_alarms()["MetricAlarms"]
    assert f"ansel-{stage.name}-unreachable" in {alarm["AlarmName"] for alarm in alarms}


def test_a_domain_is_asked_and_its_missing_record_is_told(stage: Stage) -> None:
    domain = {"DomainUrl": "https://api.example.invalid", "DomainTarget": "d-1.execute-api.amazonaws.com"}
    stage.deploy(EndpointURL="https://abc.execute-api.eu-central-1.amazonaws.com/v1/", **domain)
    code, said = stage.run("--email", "")
    assert code == 0, said
    (check,) = stage.checks()
    assert (check["FullyQualifiedDomainName"], check["ResourcePath"]) == ("api.example.invalid", "/api/health")
    assert "nobody is told yet" in said
    assert "api.example.invalid has no DNS record here yet" in said


def test_it_can_be_created_twice_and_deleted(stage: Stage) -> None:
    stage.deploy(EndpointURL="https://abc.execute-api.eu-central-1.amazonaws.com/v1/")
    assert stage.run()[0] == 0
    assert stage.run()[0] == 0
    assert stage.run("--delete") == (0, f"nothing asks ansel-{stage.name} from outside\n")
    there = boto3.client("cloudformation", region_name="us-east-1").list_stacks()["StackSummaries"]
    statuses = {each["StackStatus"] for each in there if each["StackName"] == f"ansel-{stage.name}-health-check"}
    assert statuses == {"DELETE_COMPLETE"}


def test_a_stage_deployed_in_another_way_is_asked_at_a_given_url(stage: Stage) -> None:
    code, said = stage.run("--url", "https://api.example.com/v1", "--email", "others@example.com")
    assert code == 0, said
    (check,) = stage.checks()
    assert (check["FullyQualifiedDomainName"], check["ResourcePath"]) == ("api.example.com", "/v1/api/health")
    assert stage.told() == "others@example.com"


def test_a_stage_that_is_not_deployed_is_reported(stage: Stage) -> None:
    assert stage.run() == (
        1,
        f"health check: there is no stack ansel-{stage.name} in {REGION}: deploy it first, or name its Region "
        "with --region\n",
    )

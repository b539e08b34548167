"""`python -m deploy.stack` for a new stage: it finishes by itself, and a failed attempt leaves nothing behind."""

from typing import Any

import boto3
import pytest

from tests.deploy.small_stage import BAD, FAILS, Operator
from tests.http_fake import Fake, Reply

PROTECTION = {"Type": "String", "Default": "true", "AllowedValues": ["true", "false", "when-healthy"]}
DATABASE = {
    "Type": "AWS::RDS::DBInstance",
    "DeletionPolicy": "Snapshot",
    "Properties": {
        "Engine": "postgres",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": "20",
        "MasterUsername": "ansel_owner",
        "ManageMasterUserPassword": True,
        "DeletionProtection": {"Fn::If": ["ProtectsDatabase", True, False]},
    },
}

pytestmark = pytest.mark.usefixtures("account")


@pytest.fixture
def product(operator: Operator) -> Operator:
    """An operator whose stage has what a first deployment finishes, like the product's own template."""
    operator.template["Parameters"] |= {
        "DatabaseDeletionProtection": dict(PROTECTION),
        "PublicUrl": {"Type": "String", "Default": ""},
        "DomainName": {"Type": "String", "Default": ""},
    }
    operator.template["Conditions"] = {
        "ProtectsDatabase": {"Fn::Equals": [{"Ref": "DatabaseDeletionProtection"}, "true"]}
    }
    operator.template["Resources"]["Database"] = DATABASE
    environment = {"Variables": {"PUBLIC_URL": {"Ref": "PublicUrl"}}}
    operator.template["Resources"]["Sync"]["Properties"]["Environment"] = environment
    return operator


def databases(operator: Operator) -> list[Any]:
    found = boto3.client("cloudformation").describe_stack_resource(
        StackName=f"ansel-{operator.stage}", LogicalResourceId="Database"
    )["StackResourceDetail"]["PhysicalResourceId"]
    listed: list[Any] = boto3.client("rds").describe_db_instances(DBInstanceIdentifier=found)["DBInstances"]
    return listed


def is_protected(operator: Operator) -> bool:
    (database,) = databases(operator)
    return bool(database["DeletionProtection"])


def public_url(operator: Operator) -> str:
    name = f"ansel-{operator.stage}-sync"
    variables = boto3.client("lambda").get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    return str(variables["PUBLIC_URL"])


def test_it_protects_the_database_and_sets_the_url_once_the_service_is_healthy(product: Operator, api: Fake) -> None:
    code, said = product.deploy(1)
    assert code == 0, said
    assert (is_protected(product), public_url(product)) == (True, api.url)
    announced = said.index("to follow once the service is healthy: DatabaseDeletionProtection=true, PublicUrl=(the API")
    assert announced < said.index("add       Sync")
    healthy = said.index("/api/health is ok")
    assert healthy < said.index(f"DatabaseDeletionProtection=true, PublicUrl={api.url}") < said.rindex("is ok")
    assert product.parameters()["DatabaseDeletionProtection"] == "true"


def test_a_second_deployment_has_nothing_left_to_finish(product: Operator) -> None:
    product.deploy(1)
    assert "healthy, so now" not in product.deploy(1)[1]
    assert "healthy, so now" not in product.deploy(2)[1]


def test_chosen_parameters_are_respected(product: Operator) -> None:
    given = ["--parameters", "DatabaseDeletionProtection=false", "PublicUrl=https://api.example.com"]
    for version, parameters in enumerate([given, []]):
        code, said = product.deploy(version, *parameters)
        assert code == 0, said
        assert "healthy, so now" not in said
        assert (is_protected(product), public_url(product)) == (False, "https://api.example.com")


def test_a_protection_that_was_asked_for_waits_until_the_service_is_healthy(product: Operator, api: Fake) -> None:
    product.template["Parameters"]["DatabaseDeletionProtection"]["Default"] = "false"
    given = ["--parameters", "DatabaseDeletionProtection=true"]
    api.on("/api/health", Reply({"status": "degraded"}, status=503))
    assert product.deploy(1, *given)[0] == 1
    assert not is_protected(product)
    api.on("/api/health", Reply({"status": "ok"}))
    assert product.deploy(1, *given)[0] == 0
    assert is_protected(product)


def test_a_stage_that_is_not_protected_by_default_stays_so(product: Operator, api: Fake) -> None:
    product.template["Parameters"]["DatabaseDeletionProtection"]["Default"] = "false"
    assert product.deploy(1)[0] == 0
    assert (is_protected(product), public_url(product)) == (False, api.url)


def test_with_a_domain_the_url_follows_from_it(product: Operator) -> None:
    assert product.deploy(1, "--parameters", "DomainName=api.example.com")[0] == 0
    assert (is_protected(product), public_url(product)) == (True, "")


def test_a_domain_that_comes_later_takes_the_place_of_the_own_url(product: Operator) -> None:
    product.deploy(1)
    code, said = product.deploy(1, "--parameters", "DomainName=api.example.com")
    assert code == 0, said
    assert "PUBLIC_URL becomes https://api.example.com" in said
    assert public_url(product) == ""


@pytest.mark.parametrize("interrupted_by", ["migration", "health"])
def test_an_interrupted_one_is_finished_by_the_next(product: Operator, api: Fake, interrupted_by: str) -> None:
    if interrupted_by == "migration":
        assert product.deploy(1, admin=FAILS)[0] == 1
    else:
        api.on("/api/health", Reply({"status": "degraded"}, status=503))
        assert product.deploy(1)[0] == 1
    assert (is_protected(product), public_url(product)) == (False, "")
    api.on("/api/health", Reply({"status": "ok"}))
    code, said = product.deploy(2)
    assert code == 0, said
    assert (is_protected(product), public_url(product)) == (True, api.url)


def test_a_failed_creation_leaves_nothing_and_the_next_attempt_simply_works(product: Operator) -> None:
    keys = boto3.client("kms").list_keys()["Keys"]
    product.template["Resources"]["Bad"] = {**BAD, "DependsOn": ["Key", "Database"]}
    for _ in range(2):
        code, said = product.deploy(1)
        assert code == 1
        assert "deploy: Bad (AWS::Lambda::EventSourceMapping): " in said
        assert "ROLLBACK_COMPLETE: nothing that was created stays; fix the cause, then deploy again" in said
        assert product.status() is None
    enabled = [key for key in boto3.client("kms").list_keys()["Keys"] if key not in keys]
    states = {boto3.client("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] for key in enabled}
    assert states <= {"PendingDeletion"}
    assert boto3.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"] == []
    del product.template["Resources"]["Bad"]
    code, said = product.deploy(1)
    assert code == 0, said


def test_the_empty_stack_of_an_attempt_that_nobody_watched_to_its_end_is_removed_first(
    product: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.template["Resources"]["Bad"] = BAD
    with monkeypatch.context() as patched:
        patched.setattr("deploy.first_deployment.FAILED", "NEVER")
        product.deploy(1)
    assert product.status() == "ROLLBACK_COMPLETE"
    del product.template["Resources"]["Bad"]
    code, said = product.deploy(1)
    assert code == 0, said
    assert f"removed what the failed first deployment of ansel-{product.stage} had left" in said


def test_the_last_snapshot_of_a_stage_that_worked_stays(product: Operator) -> None:
    product.deploy(1, "--parameters", "DatabaseDeletionProtection=false")
    (database,) = databases(product)
    assert product.run("delete", "--yes")[0] == 0
    product.template["Resources"]["Bad"] = {**BAD, "DependsOn": "Database"}
    assert product.deploy(2)[0] == 1
    snapshots = boto3.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert [found["DBInstanceIdentifier"] for found in snapshots] == [database["DBInstanceIdentifier"]]
    boto3.client("rds").delete_db_snapshot(DBSnapshotIdentifier=snapshots[0]["DBSnapshotIdentifier"])


def test_the_runtime_of_each_function_is_among_the_changes(product: Operator) -> None:
    _, said = product.deploy(1)
    assert "  add       Sync  AWS::Lambda::Function  Runtime python3.11\n" in said
    product.template["Resources"]["Sync"]["Properties"]["Runtime"] = "python3.13"
    code, said = product.deploy(2)
    assert code == 0, said
    assert "  modify    Sync  AWS::Lambda::Function  Runtime python3.11 -> python3.13\n" in said
    assert "  modify    Admin  AWS::Lambda::Function\n" in said

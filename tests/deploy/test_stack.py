"""`python -m deploy.stack` against the local AWS: the order of a deployment, and the state after a failed one."""

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from deploy import health_check, stack
from tests.deploy.projects import write_package
from tests.deploy.small_stage import BAD, BUCKET, FAILS, HEALTHY, MIGRATES, REFUSES, STOPS, Operator
from tests.http_fake import Fake, Reply

pytestmark = pytest.mark.usefixtures("account")


def test_a_first_deployment_creates_the_stack_then_migrates_then_checks_the_api(operator: Operator, api: Fake) -> None:
    code, said = operator.deploy(1)
    assert code == 0, said
    assert operator.status() == "CREATE_COMPLETE"
    assert said.index("add       Sync") < said.index('"did": "migrate up"') < said.index("/api/health is ok")
    assert api.paths() == ["/api/health"]


def test_an_update_migrates_with_the_new_code_before_it_changes_the_rest(operator: Operator) -> None:
    operator.deploy(1)
    before = operator.codes()
    operator.template["Resources"]["Sync"]["Properties"]["MemorySize"] = 1024
    code, said = operator.deploy(2)
    assert code == 0, said
    assert '"version": 2' in said
    assert operator.status() == "UPDATE_COMPLETE"
    assert len(operator.codes()) == 1
    assert not operator.codes() & before
    configuration = boto3.client("lambda").get_function_configuration(FunctionName=f"ansel-{operator.stage}-sync")
    assert configuration["MemorySize"] == 1024


@pytest.mark.parametrize(
    ("admin", "reason"),
    [(FAILS, "the lock could not be had"), (REFUSES % "locked", "failed: version 2 refuses; to is odd")],
    ids=["the function fails", "the command is refused"],
)
def test_a_failed_migration_leaves_every_function_unchanged(operator: Operator, admin: str, reason: str) -> None:
    operator.deploy(1)
    before = operator.codes()
    code, said = operator.deploy(2, admin=admin)
    assert code == 1
    assert reason in said
    assert "the schema is as that migration left it; nothing else was changed" in said
    assert operator.codes() == before
    assert operator.status() == "CREATE_COMPLETE"
    assert len(operator.change_sets()) == 1


def test_migrations_that_need_several_invocations_are_resumed(operator: Operator, tmp_path: Path) -> None:
    code, said = operator.deploy(1, admin=STOPS % (tmp_path / "at", 9))
    assert code == 0, said
    assert said.count("migrated: ") == 3


def test_a_migration_without_progress_fails_the_deployment(operator: Operator, tmp_path: Path) -> None:
    code, said = operator.deploy(1, admin=STOPS % (tmp_path / "at", 1))
    assert code == 1
    assert "takes longer than a function may run" in said


def test_a_failed_update_names_the_resource_and_leaves_every_function_unchanged(operator: Operator) -> None:
    operator.deploy(1)
    before = operator.codes()
    operator.template["Resources"]["Bad"] = BAD
    code, said = operator.deploy(2)
    assert code == 1
    assert "deploy: Bad (AWS::Lambda::EventSourceMapping): " in said
    assert "UPDATE_ROLLBACK_COMPLETE: everything is as it was" in said
    assert operator.codes() == before
    del operator.template["Resources"]["Bad"]
    assert operator.deploy(3)[0] == 0


def test_nothing_to_change_is_a_success(operator: Operator) -> None:
    operator.deploy(1)
    code, said = operator.deploy(1)
    assert code == 0, said
    assert "nothing to change" in said
    assert "FAILED" not in operator.change_sets()


def test_a_key_is_deleted_only_when_explicitly_allowed(operator: Operator) -> None:
    operator.deploy(1)
    del operator.template["Resources"]["Key"]
    code, said = operator.deploy(2)
    assert code == 1
    assert "remove    Key  AWS::KMS::Key  LOSES every data key that it wraps, and so every token" in said
    assert "Key" in operator.resources()
    assert len(operator.change_sets()) == 1
    assert operator.deploy(2, "--allow-replacement")[0] == 0
    assert "Key" not in operator.resources()


def test_a_dry_run_shows_the_changes_and_leaves_nothing_behind(operator: Operator) -> None:
    code, said = operator.deploy(1, "--dry-run")
    assert code == 0
    assert "add       Sync" in said
    assert (operator.status(), operator.change_sets()) == (None, [])


def test_an_earlier_release_can_be_deployed_again_and_leaves_the_schema_unchanged(operator: Operator) -> None:
    operator.deploy(1, "--no-migrate", admin=REFUSES % "schema_ahead")
    before = operator.codes()
    operator.deploy(2)
    listed = operator.run("releases", "--bucket", BUCKET)[1].splitlines()
    (first,) = [line for line in listed if not line.endswith("  deployed")]
    assert len(listed) == 2
    code, said = operator.run("deploy", "--bucket", BUCKET, "--release", first[:8], "--yes", "--wait", "0")
    assert code == 0, said
    assert "the schema belongs to a later release and stays as it is" in said
    assert operator.codes() == before
    assert f"{first}  deployed" in operator.run("releases", "--bucket", BUCKET)[1].splitlines()


def test_parameters_keep_their_values_until_changed(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "prod.json"
    file.write_text('{"Label": "from a file"}')
    for number, given in enumerate([["--parameters", str(file)], [], ["--parameters", str(file), "Label=given=so"]]):
        assert operator.deploy(number, *given)[0] == 0
        found = boto3.client("cloudformation").describe_stacks(StackName=f"ansel-{operator.stage}")["Stacks"][0]
        expected = "given=so" if number == 2 else "from a file"
        values = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in found["Parameters"]}
        assert values.pop("Release")
        assert values == {"Label": expected}


def test_a_parameter_that_the_template_does_not_have_is_named(operator: Operator) -> None:
    code, said = operator.deploy(1, "--parameters", "Lable=x")
    assert (code, operator.status()) == (1, None)
    assert "the template has no parameter Lable; it has Label" in said
    assert "nothing was made" in said


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"AllowedValues": ["blue", "red"]}, "Label=green: it may be blue, red"),
        ({"AllowedPattern": "[a-d]+", "Description": "A colour"}, "Label=green: A colour"),
    ],
)
def test_a_value_that_the_template_does_not_accept_is_refused_first(
    operator: Operator, rule: dict[str, object], problem: str
) -> None:
    operator.template["Parameters"]["Label"] |= rule
    code, said = operator.deploy(1, "--parameters", "Label=green")
    assert (code, operator.status()) == (1, None)
    assert f"nothing was made, because this would fail:\n  {problem}\n" in said


@pytest.mark.parametrize("program", [stack.main, health_check.main], ids=["stack", "health_check"])
@pytest.mark.parametrize("name", ["Prod", "p", "local", ""])
def test_a_name_that_no_stage_may_have_is_refused_before_aws_is_asked(
    program: Callable[[list[str]], int], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["next", "--stage", name] if program is stack.main else ["--stage", name]
    with pytest.raises(SystemExit):
        program(command)
    assert "argument --stage: " in capsys.readouterr().err


def test_a_parameter_without_a_value_is_named_with_its_description(operator: Operator) -> None:
    operator.template["Parameters"]["Domain"] = {"Type": "String", "Description": "Where the API is"}
    code, said = operator.deploy(1)
    assert code == 1
    assert "parameter Domain needs a value: Where the API is" in said


def test_an_unhealthy_api_fails_the_deployment(operator: Operator, api: Fake) -> None:
    api.on("/api/health", Reply({"status": "degraded", "database": "unreachable"}, status=503))
    code, said = operator.deploy(1)
    assert code == 1
    assert 'returns 503: {"status": "degraded", "database": "unreachable"}. To roll back' in said


def test_an_api_may_need_a_while_to_become_healthy(operator: Operator, api: Fake) -> None:
    api.on("/api/health", Reply(breaks=True), HEALTHY)
    code, said = operator.deploy(1, "--wait", "30")
    assert code == 0, said


def test_an_operator_can_migrate_to_head(operator: Operator) -> None:
    operator.deploy(1, admin='def admin(event, context):\n    return {"version": %d, "event": event}\n')
    code, said = operator.run("migrate", "--to", "head")
    assert code == 0
    assert '"event": {"command": "migrate up", "to": "head"}' in said


def test_deleting_lists_what_stays(operator: Operator) -> None:
    operator.deploy(1)
    key = boto3.client("cloudformation").describe_stack_resource(
        StackName=f"ansel-{operator.stage}", LogicalResourceId="Key"
    )["StackResourceDetail"]["PhysicalResourceId"]
    code, said = operator.run("delete", "--yes")
    assert code == 0, said
    assert f"AWS::KMS::Key {key} (RetainExceptOnCreate)" in said
    assert operator.status() is None
    assert boto3.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    assert operator.run("delete", "--yes") == (0, f"there is no stack ansel-{operator.stage} in us-east-1\n")


def test_without_a_terminal_nothing_changes_unconfirmed(operator: Operator, tmp_path: Path) -> None:
    package = write_package(tmp_path / "package", operator.template, MIGRATES % 1)
    code, said = operator.run("deploy", "--bucket", BUCKET, "--package", str(package))
    assert (code, said) == (1, "deploy: no terminal to ask for confirmation: add --yes\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--bucket", "ansel-elsewhere"], "there is no bucket ansel-elsewhere"),
        (["--bucket", BUCKET, "--create-bucket", "--package", "/nowhere"], "there is no package in /nowhere"),
        (["--bucket", BUCKET, "--create-bucket", "--release", "0123"], "does not exist"),
        (
            ["--bucket", BUCKET, "--create-bucket", "--parameters", "/nowhere.json"],
            "/nowhere.json contains no parameters: no such file; give Key=Value or a JSON file",
        ),
    ],
)
def test_missing_inputs_are_reported_in_one_line(
    operator: Operator, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    if "/nowhere.json" in arguments:
        arguments = [*arguments, "--package", str(write_package(tmp_path, operator.template, MIGRATES % 1))]
    code, said = operator.run("deploy", "--yes", *arguments)
    assert code == 1
    assert problem in said
    assert said.splitlines()[-1].startswith("deploy: ")
    assert operator.status() is None


def test_a_package_without_the_certificates_its_template_names_is_refused(operator: Operator) -> None:
    operator.template["Resources"]["Admin"]["Properties"]["Environment"] = {
        "Variables": {"MIGRATION_DATABASE_URL": "postgresql://db/ansel?sslrootcert=/var/task/certificates/rds.pem"}
    }
    code, said = operator.deploy(1)
    assert (code, operator.status()) == (1, None)
    assert "no RDS certificates" in said
    assert "make certificates" in said


def test_a_package_of_another_stage_is_refused(operator: Operator) -> None:
    operator.template["Parameters"]["Stage"] = {"Type": "String", "Default": "prod", "AllowedValues": ["prod"]}
    code, said = operator.deploy(1)
    assert (code, operator.status()) == (1, None)
    assert f"was packaged for prod, not for {operator.stage}" in said


def test_a_bucket_in_another_region_is_refused(operator: Operator) -> None:
    storage = boto3.client("s3", region_name="eu-west-1")
    storage.create_bucket(Bucket="ansel-abroad", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    code, said = operator.run("deploy", "--yes", "--bucket", "ansel-abroad", "--package", "/nowhere")
    assert (code, said) == (
        1,
        "deploy: bucket ansel-abroad is in eu-west-1: Lambda needs one in its own Region, us-east-1\n",
    )


def test_a_stage_without_releases_is_reported(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    operator.deploy(1, "--dry-run")
    assert Operator("other", Path(), "", capsys).run("releases", "--bucket", BUCKET) == (
        0,
        f"there are no releases of other in {BUCKET}\n",
    )


@pytest.mark.parametrize("ended_by", [EOFError, KeyboardInterrupt])
def test_declining_the_confirmation_changes_nothing(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, ended_by: type[BaseException], tmp_path: Path
) -> None:
    def leaves(_question: str) -> str:
        raise ended_by

    monkeypatch.setattr("builtins.input", leaves)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    package = write_package(tmp_path / "package", operator.template, MIGRATES % 1)
    code, said = operator.run("deploy", "--bucket", BUCKET, "--create-bucket", "--package", str(package))
    assert code == 0
    assert "nothing was changed" in said
    assert (operator.status(), operator.change_sets()) == (None, [])


def test_an_empty_stage_or_bucket_is_reported_with_its_make_variable(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--stage", "prod", "--bucket", ""], ["--stage", "", "--bucket", BUCKET]):
        with pytest.raises(SystemExit):
            stack.main(["releases", *arguments])
        assert "is empty; with make, give it as STAGE=... and BUCKET=..." in capsys.readouterr().err


def test_the_region_is_read_as_the_aws_cli_reads_it(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert operator.run("delete", "--yes") == (0, f"there is no stack ansel-{operator.stage} in eu-central-1\n")
    assert operator.run("delete", "--yes", "--region", "eu-west-1")[1].endswith(" in eu-west-1\n")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert operator.run("delete", "--yes")[1].endswith(" in eu-central-1\n")


def test_missing_credentials_are_reported_with_where_to_set_them(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    boto3.setup_default_session()
    try:
        assert operator.run("check")[1].startswith("deploy: no AWS credentials: set AWS_PROFILE")
    finally:
        boto3.DEFAULT_SESSION = None


def test_a_missing_region_is_reported_with_where_to_set_it(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    boto3.setup_default_session()
    try:
        assert "no region: give --region" in operator.run("check")[1]
    finally:
        boto3.DEFAULT_SESSION = None


def test_a_created_bucket_is_private_versioned_encrypted_and_tls_only(operator: Operator) -> None:
    operator.deploy(1, "--dry-run")
    storage = boto3.client("s3")
    barriers = storage.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(barriers.values()) == {True}
    assert storage.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    rules = storage.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    statement = json.loads(storage.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"][0]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})

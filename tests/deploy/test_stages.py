"""The stages of .chalice/config.json: free names, what a new one takes from another, and each one's Python."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deploy import package, stages, template
from deploy.wheels import Target
from tests.conftest import ROOT
from tests.deploy import templates
from tests.deploy.intrinsics import Account
from tests.deploy.projects import chalice, copy_project


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's .chalice/config.json, which the programs use."""
    copied = Path(shutil.copy(ROOT / ".chalice" / "config.json", tmp_path))
    monkeypatch.setattr(stages, "CONFIG", copied)
    return copied


def read(config: Path) -> Any:
    return json.loads(config.read_text())["stages"]


def edit(config: Path, stage: str, **changes: Any) -> None:
    document = json.loads(config.read_text())
    document["stages"].setdefault(stage, {}).update(changes)
    config.write_text(json.dumps(document))


def test_a_stage_is_added_with_the_functions_and_defaults_of_another(config: Path) -> None:
    assert stages.main(["--stage", "review-2", "--like", "dev"]) == 0
    added, model = read(config)["review-2"], read(config)["dev"]
    assert added["environment_variables"] == {"ANSEL_STAGE": "review-2"}
    assert added["lambda_functions"] == model["lambda_functions"]
    assert stages.get_stage("review-2") == stages.Stage("review-2", "dev", model["python"])
    assert "review-2" in stages.list_stages()


@pytest.mark.usefixtures("config")
def test_a_stage_like_one_that_is_like_prod_is_like_prod() -> None:
    stages.add("staging", "prod")
    assert stages.add("staging-eu", "staging").like == "prod"


def test_nothing_of_the_other_stages_account_is_copied(config: Path) -> None:
    functions = read(config)["prod"]["lambda_functions"]
    functions["admin"] |= {
        "environment_variables": {"DATABASE_URL": "x"},
        "iam_policy_file": "policies/prod/admin.json",
    }
    variables = {"ANSEL_STAGE": "prod", "DATABASE_URL": "postgresql://prod"}
    edit(config, "prod", environment_variables=variables, subnet_ids=["subnet-1"], lambda_functions=functions)
    edit(config, "prod", security_group_ids=["sg-1"], iam_policy_file="policies/prod/api.json")
    stages.add("staging", "prod")
    added = read(config)["staging"]
    assert added["lambda_functions"]["admin"]["iam_policy_file"] == "policies/admin.json"
    assert added["iam_policy_file"] == "policies/api.json"
    for foreign in ("DATABASE_URL", "subnet-1", "sg-1", "policies/prod"):
        assert foreign not in json.dumps(added)
    assert added["lambda_functions"]["deliver"]["subnet_ids"] == [], "it stays outside the new stage's network"


@pytest.mark.parametrize(
    ("name", "like", "problem"),
    [
        ("Prod", "dev", "2 to 21 lower-case letters"),
        ("p", "dev", "2 to 21 lower-case letters"),
        ("", "dev", "give it as STAGE=..."),
        ("review-", "dev", "single hyphens"),
        ("re--view", "dev", "single hyphens"),
        ("r" * 22, "dev", "2 to 21"),
        ("local", "dev", "local is not a stage that is deployed"),
        ("test", "dev", "test is not a stage that is deployed"),
        ("prod-sync", "dev", "would be called like the sync of stage prod"),
        ("prod-infrastructure", "dev", "would be called like the infrastructure of stage prod"),
        ("prod", "dev", "there is a stage prod"),
        ("review", "", "give LIKE=dev or LIKE=prod"),
        ("review", "local", "local is not a stage that is deployed"),
    ],
)
def test_a_stage_that_cannot_be_added_is_reported_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], name: str, like: str, problem: str
) -> None:
    before = config.read_text()
    assert stages.main(["--stage", name, "--like", like]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stage: ")
    assert problem in line
    assert config.read_text() == before


@pytest.mark.parametrize(("key", "value"), [("like", "production"), ("python", "3.9")])
def test_a_wrong_entry_names_what_the_stage_needs(config: Path, key: str, value: str) -> None:
    stages.add("review", "dev")
    edit(config, "review", **{key: value})
    with pytest.raises(stages.StageError, match=f'stage review in .chalice/config.json needs "{key}": "'):
        stages.get_stage("review")


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("like", stages.MODELS)
def test_a_stages_template_has_the_defaults_of_the_one_it_is_like(like: str) -> None:
    stages.add("staging", like)
    ours, theirs = template.resources("staging"), template.resources(like)
    assert ours["Parameters"].pop("Stage")["AllowedValues"] == ["staging"]
    assert theirs["Parameters"].pop("Stage")["AllowedValues"] == [like]
    assert ours == theirs


def test_every_stage_names_a_model_and_a_python() -> None:
    for name in stages.list_stages():
        stage = stages.get_stage(name)
        assert (ROOT / ".chalice" / "resources" / "stages" / f"{stage.like}.yaml").exists()
        assert read(ROOT / ".chalice" / "config.json")[name]["python"] == stage.python


def test_chalice_itself_packages_a_stage_with_a_free_name(tmp_path: Path, config: Path) -> None:
    stages.add("review-2", "dev")
    project = copy_project(tmp_path / "project")
    shutil.copy(config, project / ".chalice")
    chalice(project, "package", "--stage", "review-2", str(tmp_path / "out"), AWS_DEFAULT_REGION="eu-central-1")
    made = json.loads((tmp_path / "out" / "sam.json").read_text())["Resources"]
    assert made["Tick"]["Properties"]["Environment"]["Variables"] == {"ANSEL_STAGE": "review-2"}
    assert made["Sync"]["Properties"]["Timeout"] == 300
    queue = made["Sync"]["Properties"]["Events"]["SyncSqsEventSource"]["Properties"]["Queue"]
    assert queue["Fn::Sub"].endswith(":ansel-review-2-sync")


def test_a_package_is_refused_with_another_python_than_the_stages(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Target("arm64").python
    other = "3.12" if here != "3.12" else "3.13"
    edit(config, "prod", python=other)
    assert package.main(["--stage", "prod", "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == (
        f"package: the functions of prod run Python {other} (.chalice/config.json), but this is Python {here}: "
        f"use `make package STAGE=prod PYTHON=python{other}`\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("config")
def test_a_package_of_an_unknown_stage_names_the_command_that_adds_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert package.main(["--stage", "review"]) == 1
    assert "add it with `make stage STAGE=review LIKE=dev`" in capsys.readouterr().err


@pytest.mark.usefixtures("config")
def test_a_stage_with_a_free_name_has_its_own_names_throughout() -> None:
    stages.add("review-2", "dev")
    account = Account(template.finished(templates.packaged("review-2"), "review-2"))
    for name, suffix in {"APIHandler": "", "Tick": "-tick", "Admin": "-admin"}.items():
        assert account.value("Resources", name, "Properties", "FunctionName") == f"ansel-review-2{suffix}"
    assert account.value("Resources", "SyncQueue", "Properties", "QueueName") == "ansel-review-2-sync"

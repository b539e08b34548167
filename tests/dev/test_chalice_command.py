"""Chalice's own command in a repository that is not ready for it: one sentence that says what to run first."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.chalice_command import ensure_deployable
from dev.errors import StackError
from tests.conftest import ROOT
from tests.deploy.projects import CHALICE, copy_project

POLICY = {"Version": "2012-10-17", "Statement": []}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as somebody has just cloned it."""
    folder = copy_project(tmp_path_factory.mktemp("clone") / "project")
    shutil.copytree(ROOT / "dev", folder / "dev", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def chalice(clone: Path, *arguments: str) -> str:
    """The one line that it ends with."""
    environ = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "LOCAL_DIR": str(clone / ".local")}
    ended = subprocess.run(
        [sys.executable, "-c", CHALICE, *arguments], cwd=clone, env=environ, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize("arguments", [("deploy",), ("package", "out")], ids=str)
def test_a_fresh_clone_is_told_what_to_run_before_it_deploys(clone: Path, arguments: tuple[str, ...]) -> None:
    said = chalice(clone, arguments[0], "--stage", "prod", *arguments[1:])
    assert said.startswith(f"chalice {arguments[0]}: stage prod names no account's resources yet: run ")
    assert "`make infrastructure STAGE=prod BUCKET=...`" in said
    assert "`.venv/bin/python -m deploy.policies --stage prod --from-stack`" in said
    assert not (clone / "out").exists()


@pytest.mark.parametrize("stage", ["local", "nowhere"])
def test_a_stage_that_is_not_deployed_is_named(clone: Path, stage: str) -> None:
    said = chalice(clone, "deploy", "--stage", stage)
    assert said == "chalice deploy: --stage must be one that is deployed: dev or prod"


def test_serving_a_stage_of_the_cloud_here_is_refused(clone: Path) -> None:
    said = chalice(clone, "local", "--no-autoreload")
    assert said == "chalice local: dev runs on AWS: serve with `chalice local --stage local`, beside `make run`"


def test_serving_without_a_running_stack_is_refused(clone: Path) -> None:
    said = chalice(clone, "local", "--stage", "local", "--no-autoreload")
    assert said.startswith(f"chalice local: no stack is running in {clone}/.local; start one with `make run`")


def ready(folder: Path, url: str, **of_stage: str) -> Path:
    chalice = folder / ".chalice"
    (chalice / "policies").mkdir(parents=True)
    (chalice / "policies" / "all.json").write_text(json.dumps(POLICY))
    function = {"iam_policy_file": "policies/all.json", "environment_variables": {"DATABASE_URL": url}}
    stages = {"local": {}, "dev": {**function, **of_stage, "lambda_functions": {"admin": function}}}
    (chalice / "config.json").write_text(json.dumps({"stages": stages}))
    return folder


def test_a_stage_with_an_accounts_policies_is_deployable(tmp_path: Path) -> None:
    ensure_deployable("deploy", "dev", ready(tmp_path, "postgresql://db/ansel"), has_names=False)


def test_a_package_would_lack_the_functions_names(tmp_path: Path) -> None:
    project = ready(tmp_path, "postgresql://db/ansel")
    ensure_deployable("package", "dev", project, has_names=True)
    with pytest.raises(StackError, match=r"add `--merge-template \.chalice/policies/dev/names\.json`"):
        ensure_deployable("package", "dev", project, has_names=False)


def test_the_databases_certificates_must_be_there_to_be_packed(tmp_path: Path) -> None:
    project = ready(tmp_path, "postgresql://db/ansel?sslrootcert=/var/task/certificates/rds.pem")
    with pytest.raises(StackError, match=r"vendor/certificates/rds\.pem does not exist: run `make certificates"):
        ensure_deployable("deploy", "dev", project, has_names=False)
    (project / "vendor" / "certificates").mkdir(parents=True)
    (project / "vendor" / "certificates" / "rds.pem").touch()
    ensure_deployable("deploy", "dev", project, has_names=False)


def test_another_python_than_the_stages_is_refused(tmp_path: Path) -> None:
    project = ready(tmp_path, "postgresql://db/ansel", python="3.9")
    with pytest.raises(StackError, match=r"of dev run Python 3\.9 .*: run `make setup PYTHON=python3\.9` first"):
        ensure_deployable("deploy", "dev", project, has_names=False)

"""What Chalice's own command needs to know: `chalice local` the running stack's settings, `deploy` those of an account.

Chalice would deploy what cannot work, or end in a traceback of IAM's answer; here it ends in one sentence.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dev.environment import FOREIGN, OURS
from dev.errors import StackError
from dev.options import Options, ensure_running
from dev.process import ROOT

LOCAL = "local"
DEPLOYING = ("deploy", "package")
CERTIFICATES = "certificates/rds.pem"


def prepare(argv: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """For the command that imports the application; `environ` has the variables of the command's stage."""
    command = next((word for word in argv[1:] if word in (LOCAL, *DEPLOYING)), "")
    stage = environ.get("ANSEL_STAGE", "")
    try:
        if command == LOCAL:
            _serve(stage, environ)
        elif command:
            ensure_deployable(command, stage, ROOT, has_names="--merge-template" in argv)
    except StackError as error:
        _end(f"chalice {command}: {error}")


def _serve(stage: str, environ: MutableMapping[str, str]) -> None:
    """The API's settings of the running stack, without any of the caller's variables that could redirect them."""
    if stage != LOCAL:
        raise StackError(f"{stage} runs on AWS: serve with `chalice local --stage local`, beside `make run`")
    options = Options.from_environ(environ)
    ensure_running(options)
    for name in [name for name in environ if name.startswith(FOREIGN) or name in OURS]:
        del environ[name]
    environ.update(json.loads(options.api_file.read_text()))


def ensure_deployable(command: str, stage: str, project: Path, *, has_names: bool) -> None:
    """Raises StackError, naming what to run first."""
    stages = json.loads((project / ".chalice" / "config.json").read_text())["stages"]
    if stage == LOCAL or stage not in stages:
        raise StackError(
            f"--stage must be one that is deployed: {' or '.join(name for name in stages if name != LOCAL)}"
        )
    if problem := next(_find_problems(stage, stages[stage], project), None):
        raise StackError(problem)
    if command == "package" and not has_names:
        raise StackError(
            "policies and alarms know the functions by name, which Chalice's template leaves to CloudFormation: add "
            f"`--merge-template .chalice/policies/{stage}/names.json`"
        )


def _find_problems(stage: str, of_stage: dict[str, Any], project: Path) -> Iterator[str]:
    python, wanted = f"{sys.version_info.major}.{sys.version_info.minor}", of_stage.get("python")
    functions = [of_stage, *of_stage["lambda_functions"].values()]
    policies = {each["iam_policy_file"] for each in functions}
    if any("${" in (project / ".chalice" / policy).read_text() for policy in policies):
        yield (
            f"stage {stage} names no account's resources yet: run `make infrastructure STAGE={stage} BUCKET=...`, then "
            f"`.venv/bin/python -m deploy.policies --stage {stage} --from-stack` (docs/deploying.md). "
            f"`make deploy STAGE={stage} BUCKET=...` needs neither"
        )
    if wanted not in (None, python):
        yield (
            f"the functions of {stage} run Python {wanted} (.chalice/config.json), but this is Python {python}: "
            f"run `make setup PYTHON=python{wanted}` first"
        )
    if CERTIFICATES in json.dumps(functions) and not (project / "vendor" / CERTIFICATES).exists():
        yield f"vendor/{CERTIFICATES} does not exist: run `make certificates REGION=...` first"


def _end(problem: str) -> NoReturn:
    print(problem, file=sys.stderr, flush=True)
    if threading.current_thread() is threading.main_thread():
        sys.exit(1)
    os._exit(1)  # `chalice local` imports the application in a thread, in which SystemExit would end only that

"""`python -m deploy.stages`: the stages of .chalice/config.json that can be deployed, and adding another one."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from chalicelib.settings import PLAIN_STAGES, STAGE_NAME
from deploy.pins import ROOT

CONFIG = ROOT / ".chalice" / "config.json"
MODELS = ("dev", "prod")
"""Stages with a file of defaults in .chalice/resources/stages; every other stage is like one of them."""
PYTHON = "3.13"
"""For a stage that names no version."""
PYTHONS = ("3.11", "3.12", "3.13")
_STACKS = {"infrastructure", "health-check"}
"""A stage's other stacks, which are named after it as its functions are"""
_OF_AN_ACCOUNT = {"environment_variables", "subnet_ids", "security_group_ids", "layers"}
"""What must not be copied from a stage: a new one would use the other one's database."""


class StageError(ValueError):
    """A stage that cannot be deployed, and what to do about it."""


@dataclass(frozen=True)
class Stage:
    name: str
    like: str
    """The stage in MODELS whose defaults it has"""
    python: str
    """The version of Python that its functions run"""


def list_stages() -> list[str]:
    """The names of the stages that can be deployed: `local` exists on a developer's machine only."""
    return sorted(_read()["stages"].keys() - set(PLAIN_STAGES))


def get_stage(name: str) -> Stage:
    """Raises StageError."""
    stages = _read()["stages"]
    check_name(name, stages)
    if name not in stages:
        raise StageError(
            f"{name} is not a stage of .chalice/config.json: add it with `make stage STAGE={name} LIKE=dev`"
        )
    like, python = stages[name].get("like", name), stages[name].get("python", PYTHON)
    if like not in MODELS:
        raise StageError(f'stage {name} in .chalice/config.json needs "like": {_or_list(MODELS)}')
    if python not in PYTHONS:
        raise StageError(f'stage {name} in .chalice/config.json needs "python": {_or_list(PYTHONS)}')
    return Stage(name, like, python)


def ensure_python(stage: str, python: str, command: str) -> None:
    """StageError unless the stage's functions run this version: bytecode and wheels suit only one."""
    wanted = get_stage(stage).python
    if python != wanted:
        raise StageError(
            f"the functions of {stage} run Python {wanted} (.chalice/config.json), but this is Python {python}: "
            f"use `{command} PYTHON=python{wanted}`"
        )


def check_name(name: str, stages: dict[str, Any]) -> None:
    """Raises StageError for a name that no stage in the cloud may have."""
    if not STAGE_NAME.fullmatch(name):
        raise StageError(
            f"the name of a stage has 2 to 21 lower-case letters, digits and single hyphens, and begins with a letter: "
            f"{name!r} does not; with make, give it as STAGE=..."
        )
    if name in PLAIN_STAGES:
        raise StageError(
            f"{name} is not a stage that is deployed: it may do without TLS and KMS, so choose another name"
        )
    taken = _STACKS | {function for stage in stages.values() for function in stage.get("lambda_functions", {})}
    for suffix in taken:
        if name.endswith(f"-{suffix}"):
            other = name.removesuffix(f"-{suffix}")
            raise StageError(f"stage {name} would be called like the {suffix} of stage {other}: choose another name")


def add(name: str, like: str) -> Stage:
    """Adds a stage with the functions of `like`, but without what belongs to its account. Raises StageError."""
    document = _read()
    check_name(name, document["stages"])
    if name in document["stages"]:
        raise StageError(f"there is a stage {name} in .chalice/config.json already")
    if like not in document["stages"]:
        raise StageError(f"there is no stage {like or '...'} to be like: give LIKE=dev or LIKE=prod")
    model = get_stage(like)
    entry = _without_account(document["stages"][like])
    entry["lambda_functions"] = {
        function: _without_account(settings)
        for function, settings in document["stages"][like]["lambda_functions"].items()
    }
    own = {"like": model.like, "python": model.python, "environment_variables": {"ANSEL_STAGE": name}}
    document["stages"][name] = {**own, **{key: value for key, value in entry.items() if key not in own}}
    CONFIG.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return get_stage(name)


def _without_account(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a stage or function, with the policies as they are in git (deploy/policies.py writes others).

    An empty list stays: by it the delivery function is in no network although its stage is.
    """
    kept = {key: value for key, value in settings.items() if key not in _OF_AN_ACCOUNT or value == []}
    return {**kept, "iam_policy_file": f"policies/{PurePosixPath(settings['iam_policy_file']).name}"}


def _or_list(values: Sequence[str]) -> str:
    return " or ".join(f'"{value}"' for value in values)


def _read() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(CONFIG.read_text(encoding="utf-8"))
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.stages", description=__doc__)
    parser.add_argument("--stage", required=True, help="the new stage's name")
    parser.add_argument("--like", required=True, help="the stage whose functions and defaults it gets: dev or prod")
    options = parser.parse_args(arguments)
    try:
        stage = add(options.stage, options.like)
    except StageError as error:
        print(f"stage: {error}", file=sys.stderr)
        return 1
    print(f"added stage {stage.name} to .chalice/config.json: like {stage.like}, on Python {stage.python}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

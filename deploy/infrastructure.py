"""`python -m deploy.infrastructure`: a stack of what plain `chalice deploy` needs and cannot create."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from botocore.exceptions import ClientError

from deploy import changes, first_deployment, preflight, releases, stack
from deploy.cloud import INFRASTRUCTURE, Cloud, DeployError, Stack, find_stack, get_stack, stack_name
from deploy.infrastructure_template import infrastructure_template
from deploy.releases import Release
from deploy.storage import create_bucket, find_bucket


def deploy(options: argparse.Namespace, cloud: Cloud) -> None:
    """Creates or updates the stack, after showing the changes. A failed creation leaves nothing."""
    stack.ensure_somebody_agrees(options)
    given = stack.read_parameters(options.parameters)
    target = _target(options)
    _ensure_not_there(options.stage, cloud)
    first_deployment.remove_failed(cloud, target.stage)
    before = find_stack(cloud, target.stage)
    changes.ensure_ready(before, target.stage)
    release = _store(options, cloud, before, given)
    print(f"release {release.id} to {stack_name(target.stage)} in {cloud.region}")
    is_new = before is None or before.is_new
    parameters = first_deployment.creating(release, given) if is_new else given
    change_set = changes.make_change_set(cloud, target.stage, before, release, parameters)
    if change_set is None:
        print("nothing to change")
    elif not stack.is_agreed(target, cloud, change_set):
        return
    if not options.dry_run:
        run = stack.create if is_new else changes.execute
        run(cloud, target.stage, change_set)
        _protect(cloud, target.stage, release, given)
        _say(options.stage, cloud)


def _ensure_not_there(stage: str, cloud: Cloud) -> None:
    """The names are the same, so CloudFormation would find out only after it has created the rest."""
    whole = find_stack(cloud, stage)
    if whole is not None and "DataKeyArn" in whole.outputs:
        raise DeployError(f"{whole.name} was created by `make deploy`, which includes all of this")


def _store(options: argparse.Namespace, cloud: Cloud, before: Stack | None, given: Mapping[str, str]) -> Release:
    """Nothing is made, not even the bucket, before it is certain that the deployment can succeed."""
    try:
        template = infrastructure_template(options.stage)
    except ValueError as error:
        raise DeployError(str(error)) from error
    bucket = find_bucket(cloud, options.bucket, options.bucket_owner, may_be_missing=options.create_bucket)
    preflight.ensure_possible(cloud, template, before, given)
    if bucket.is_missing:
        create_bucket(cloud, bucket)
    return releases.store_template(bucket, f"{options.stage}{INFRASTRUCTURE}", template)


def _protect(cloud: Cloud, name: str, release: Release, given: Mapping[str, str]) -> None:
    """The database is created without protection, because a failed creation could not be rolled back with it."""
    made = get_stack(cloud, name)
    if still_open := first_deployment.find_open(made, given):
        changes.execute(cloud, name, changes.make_change_set(cloud, name, made, release, still_open))


def delete(options: argparse.Namespace, cloud: Cloud) -> None:
    """Functions in the network would keep CloudFormation from deleting it."""
    stack.ensure_somebody_agrees(options)
    if _has_functions(options.stage, cloud):
        raise DeployError(f"its functions still exist: run `chalice delete --stage {options.stage}` first")
    stack.delete(_target(options), cloud)


def _target(options: argparse.Namespace) -> argparse.Namespace:
    """The same options for the stack that this program deploys, which is named like one of a stage."""
    return argparse.Namespace(**{**vars(options), "stage": f"{options.stage}{INFRASTRUCTURE}"})


def _has_functions(stage: str, cloud: Cloud) -> bool:
    try:
        cloud.functions.get_function_configuration(FunctionName=stack_name(stage))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return False
        raise
    return True


def _say(stage: str, cloud: Cloud) -> None:
    outputs = get_stack(cloud, f"{stage}{INFRASTRUCTURE}").outputs
    for name in sorted(outputs):
        if not name.startswith("Variable"):
            print(f"  {name}  {outputs[name]}")
    print(f"next: .venv/bin/python -m deploy.policies --stage {stage} --from-stack")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.infrastructure", description=__doc__)
    parser.set_defaults(dry_run=False, yes=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    deploying = stack.command(commands, "deploy", deploy, "create or update the stack")
    stack.bucket_arguments(deploying)
    stack.change_arguments(deploying)
    deleting = stack.command(commands, "delete", delete, "delete the stack; retained resources stay")
    deleting.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    return stack.run(_parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())

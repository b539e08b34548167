"""`python -m deploy.stack`: a stage as a CloudFormation stack, from its package to a healthy service."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from deploy import changes, first_deployment, next_steps, preflight, releases, rollout
from deploy.changes import ChangeSet
from deploy.cloud import Cloud, DeployError, Stack, connect, find_stack, get_stack, stack_name
from deploy.releases import Release
from deploy.stages import StageError, check_name
from deploy.storage import create_bucket, find_bucket

ROOT = Path(__file__).parent.parent

NO_CREDENTIALS = "no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def deploy(options: argparse.Namespace, cloud: Cloud) -> None:
    """An existing stage is migrated before its code changes, a new one after it was created."""
    ensure_somebody_agrees(options)
    given = read_parameters(options.parameters)
    first_deployment.remove_failed(cloud, options.stage)
    stack = find_stack(cloud, options.stage)
    changes.ensure_ready(stack, options.stage)
    release = _pick_release(options, cloud, stack, given)
    print(f"release {release.id} to {stack_name(options.stage)} in {cloud.region}")
    is_new = stack is None or stack.is_new
    if stack is None or stack.is_new:
        parameters = first_deployment.creating(release, given)
    else:
        parameters = first_deployment.following_the_domain(stack, given)
    change_set = changes.make_change_set(cloud, options.stage, stack, release, parameters)
    if change_set is None:
        print("nothing to change")
    elif not is_agreed(options, cloud, change_set):
        return
    if not options.dry_run:
        _roll_out(options, cloud, release, change_set, is_new=is_new)
        rollout.ensure_code(cloud, options.stage, release)
        _check(options, cloud)
        if _finish(options, cloud, release, given) or is_new:
            _describe_next(options, cloud)


def _pick_release(options: argparse.Namespace, cloud: Cloud, stack: Stack | None, given: Mapping[str, str]) -> Release:
    """Nothing is made, not even the bucket, before it is certain that the deployment can succeed."""
    bucket = find_bucket(cloud, options.bucket, options.bucket_owner, may_be_missing=options.create_bucket)
    if options.release:
        release = releases.get_release(bucket, options.stage, options.release)
        preflight.ensure_possible(cloud, release.template, stack, given)
        return release
    package = releases.read_package(options.package or ROOT / "build" / "package" / options.stage, options.stage)
    preflight.ensure_possible(cloud, package.template, stack, given, lacks_certificates=package.lacks_certificates)
    if bucket.is_missing:
        create_bucket(cloud, bucket)
    return releases.store_release(bucket, options.stage, package)


def is_agreed(options: argparse.Namespace, cloud: Cloud, change_set: ChangeSet) -> bool:
    """A change set that is not executed is deleted afterwards."""
    print("\n".join(str(change) for change in change_set.changes))
    _refuse_losses(options, cloud, change_set)
    question = f"deploy to {stack_name(options.stage)}? [y/N] "
    if not options.dry_run and _says_yes(options, question, "y"):
        return True
    changes.discard(cloud, options.stage, change_set)
    print("nothing was changed")
    return False


def _refuse_losses(options: argparse.Namespace, cloud: Cloud, change_set: ChangeSet) -> None:
    lost = [
        f"{change.resource} would be deleted, and with it {change.loss}" for change in change_set.changes if change.loss
    ]
    if lost and not options.allow_replacement:
        changes.discard(cloud, options.stage, change_set)
        raise DeployError(f"{'; '.join(lost)}: nothing was changed; add --allow-replacement if this is intended")


def _roll_out(
    options: argparse.Namespace, cloud: Cloud, release: Release, change_set: ChangeSet | None, *, is_new: bool
) -> None:
    if options.no_migrate:
        create(cloud, options.stage, change_set) if is_new else changes.execute(cloud, options.stage, change_set)
    elif is_new:
        create(cloud, options.stage, change_set)
        rollout.migrate(cloud, options.stage)
    else:
        # Migrations expand before they contract: old code works with the new schema, but not the other way round.
        with rollout.admin_ahead(cloud, options.stage, release):
            _migrate_before(cloud, options.stage, change_set)
            changes.execute(cloud, options.stage, change_set)


def create(cloud: Cloud, stage: str, change_set: ChangeSet | None) -> None:
    """A failed creation leaves nothing behind, so that the next attempt begins like the first."""
    try:
        changes.execute(cloud, stage, change_set)
    except DeployError:
        first_deployment.try_to_remove_failed(cloud, stage)
        raise


def _finish(options: argparse.Namespace, cloud: Cloud, release: Release, given: Mapping[str, str]) -> bool:
    """Sets what a first deployment could not set before the API existed, also after one that was interrupted."""
    stack = get_stack(cloud, options.stage)
    still_open = first_deployment.find_open(stack, given)
    if not still_open:
        return False
    print("healthy, so now: " + ", ".join(f"{name}={value}" for name, value in still_open.items()), flush=True)
    change_set = changes.make_change_set(cloud, options.stage, stack, release, still_open)
    if change_set is not None:
        _refuse_losses(options, cloud, change_set)
    changes.execute(cloud, options.stage, change_set)
    rollout.check(get_stack(cloud, options.stage), options.url, options.wait)
    return True


def _describe_next(options: argparse.Namespace, cloud: Cloud) -> None:
    print("\n" + next_steps.describe(options.stage, cloud.region, get_stack(cloud, options.stage)))


def _migrate_before(cloud: Cloud, stage: str, change_set: ChangeSet | None) -> None:
    try:
        rollout.migrate(cloud, stage)
    except Exception:
        if change_set is not None:
            changes.discard(cloud, stage, change_set)
        print("the schema is as that migration left it; nothing else was changed", file=sys.stderr)
        raise


def _check(options: argparse.Namespace, cloud: Cloud) -> None:
    stack = get_stack(cloud, options.stage)
    for name, value in sorted(stack.outputs.items()):
        print(f"  {name}  {value}")
    rollout.check(stack, options.url, options.wait)


def _migrate(options: argparse.Namespace, cloud: Cloud) -> None:
    get_stack(cloud, options.stage)
    rollout.migrate(cloud, options.stage, options.to)


def _list_releases(options: argparse.Namespace, cloud: Cloud) -> None:
    bucket = find_bucket(cloud, options.bucket, options.bucket_owner)
    stack = find_stack(cloud, options.stage)
    stored = releases.list_releases(bucket, options.stage)
    if not stored:
        print(f"there are no releases of {options.stage} in {options.bucket}")
    for release_id, stored_at in stored:
        print(f"{release_id}  {stored_at}{'  deployed' if stack and stack.release == release_id else ''}")


def delete(options: argparse.Namespace, cloud: Cloud) -> None:
    ensure_somebody_agrees(options)
    stack = find_stack(cloud, options.stage)
    if stack is None:
        print(f"there is no stack {stack_name(options.stage)} in {cloud.region}")
        return
    stays = changes.list_retained(cloud, stack)
    print("\n".join(["what stays:", *(f"  {line}" for line in stays)] if stays else ["nothing stays"]))
    if _says_yes(options, f"type {stack.name} to delete it: ", stack.name):
        changes.delete(cloud, options.stage, stack)
    else:
        print("nothing was deleted")


def ensure_somebody_agrees(options: argparse.Namespace) -> None:
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise DeployError("no terminal to ask for confirmation: add --yes")


def _says_yes(options: argparse.Namespace, question: str, answer: str) -> bool:
    try:
        return bool(options.yes or input(question).strip() == answer)
    except (EOFError, KeyboardInterrupt):
        print()
        return False


def read_parameters(given: Sequence[str]) -> dict[str, str]:
    """`Key=Value`, or files with a JSON object; later ones win."""
    found: dict[str, str] = {}
    for item in given:
        name, is_pair, value = item.partition("=")
        found |= {name: value} if is_pair else _read_parameter_file(Path(item))
    return found


def _read_parameter_file(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DeployError(f"{path} contains no parameters: no such file; give Key=Value or a JSON file") from error
    except (OSError, ValueError) as error:
        raise DeployError(f"{path} contains no parameters: {error}") from error
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise DeployError(f"{path} contains no parameters: it must be one object of strings")
    return document


def given_text(text: str) -> str:
    """Not empty, unlike a make variable that was not set."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; with make, give it as STAGE=... and BUCKET=...")
    return text


def stage_name(text: str) -> str:
    """One that a stage in the cloud may have, whether or not there is one."""
    try:
        check_name(given_text(text), {})
    except StageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.stack", description=__doc__)
    parser.set_defaults(dry_run=False, yes=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _deploy_command(commands)
    migrating = command(commands, "migrate", _migrate, "migrate through the admin function")
    migrating.add_argument("--to", help="a migration, or head for contracting ones too (default: what the code needs)")
    checking = command(commands, "check", _check, "print the outputs, and check the API's health")
    _check_arguments(checking)
    command(commands, "next", _describe_next, "print what comes after a first deployment, with the stage's own values")
    listing = command(commands, "releases", _list_releases, "list releases that can be deployed again, newest first")
    bucket_arguments(listing)
    deleting = command(commands, "delete", delete, "delete the stack; retained resources stay")
    deleting.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    return parser


def _deploy_command(commands: Any) -> None:
    deploying = command(commands, "deploy", deploy, "deploy a package, or an earlier release")
    bucket_arguments(deploying)
    source = deploying.add_mutually_exclusive_group()
    source.add_argument("--package", type=Path, help="default: build/package/STAGE")
    source.add_argument("--release", help="an earlier release, by its id or a unique prefix of it")
    change_arguments(deploying)
    deploying.add_argument("--no-migrate", action="store_true", help="leave the schema alone, as for a rollback")
    _check_arguments(deploying)


def bucket_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bucket", required=True, type=given_text, help="where releases are kept")
    parser.add_argument("--bucket-owner", metavar="ACCOUNT", help="account that owns the bucket (default: this one)")


def change_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--create-bucket", action="store_true", help="create the bucket if it does not exist")
    parser.add_argument(
        "--parameters",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="or JSON files; parameters not given stay unchanged",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the changes only")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument("--allow-replacement", action="store_true", help="even if database, keys or URL are lost")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="the API's URL up to its /api (default: the stack's output)")
    parser.add_argument("--wait", type=float, default=60.0, metavar="SECONDS", help="seconds it may take (60)")


def command(commands: Any, name: str, run: Callable[..., None], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--stage", required=True, type=stage_name)
    parser.add_argument("--region", help="default: AWS_REGION or the profile's")
    parser.set_defaults(run=run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    return run(_parser().parse_args(arguments))


def run(options: argparse.Namespace, program: str = "deploy") -> int:
    """Runs the command that was parsed; a failure is one line, which begins with the program's name."""
    try:
        options.run(options, connect(options.region))
    except NoCredentialsError:
        print(f"{program}: {NO_CREDENTIALS}", file=sys.stderr)
        return 1
    except (DeployError, BotoCoreError, ClientError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted. AWS continues what was started; deploy again to see the state", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

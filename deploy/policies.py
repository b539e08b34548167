"""The functions' IAM policies, .chalice/policies: one source, with ${...} placeholders for an account's resources.

The CloudFormation template gets references in their place. For `chalice deploy`, run this module as a program: it fills
in the ARNs and points the stage in .chalice/config.json at the result, and with --from-stack writes its settings too.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chalicelib.aws_environment import QUEUE_URL
from deploy import stack
from deploy.bundle import TASK_ROOT
from deploy.cloud import INFRASTRUCTURE, Cloud, DeployError, find_stack, stack_name
from deploy.contents import CERTIFICATES
from deploy.outputs import DATABASE_ID, apply
from deploy.stages import list_stages

CHALICE = Path(__file__).parent.parent / ".chalice"
FUNCTIONS = ("api", "tick", "sync", "maintenance", "deliver", "admin")
WITHOUT_SETTINGS = ("deliver",)
"""Functions that must not have a stage's settings. Chalice merges these in, so an empty value overrides each."""
SETTINGS_OF_ALL = ("ANSEL_STAGE", "LOG_LEVEL")

_NAME = re.compile(r"\$\{(\w+)\}")
_KEY_ARN = re.compile(r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[\w-]+")
_SECRET_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@!-]+")
_DATABASE_ID = re.compile(r"(db|cluster|prx)-\w+")

_SUBSTITUTED = {
    "Partition": "${AWS::Partition}",
    "Region": "${AWS::Region}",
    "Account": "${AWS::AccountId}",
    "Stage": "${Stage}",
    "QueueArn": "${SyncQueue.Arn}",
    "DeadLetterArn": "${DeadLetterQueue.Arn}",
    "PlatformSecretArn": "${PlatformSecret}",
    "TenantProofSecretArn": "${TenantProofSecret}",
}
_OF_THE_ACCOUNT = {"Partition", "Region", "Account", "Stage"}
_PROXY_ID = {"Fn::Select": [6, {"Fn::Split": [":", {"Fn::GetAtt": ["DatabaseProxyServer", "DBProxyArn"]}]}]}
COMPUTED: dict[str, Any] = {
    "DatabaseId": {
        "Fn::If": [
            "UsesProxy",
            _PROXY_ID,
            {
                "Fn::If": [
                    "UsesAurora",
                    {"Fn::GetAtt": ["DatabaseCluster", "DBClusterResourceId"]},
                    {"Fn::GetAtt": ["Database", "DbiResourceId"]},
                ]
            },
        ]
    },
    "OwnerSecretArn": {
        "Fn::If": [
            "UsesAurora",
            {"Fn::GetAtt": ["DatabaseCluster", "MasterUserSecret.SecretArn"]},
            {"Fn::GetAtt": ["Database", "MasterUserSecret.SecretArn"]},
        ]
    },
    "KeyArns": {
        "Fn::If": [
            "HasOtherKeys",
            {"Fn::Split": [",", {"Fn::Sub": "${DataKey.Arn},${OtherKeyArns}"}]},
            {"Fn::GetAtt": ["DataKey", "Arn"]},
        ]
    },
}


_OF_PLAIN_DEPLOY = {"DatabasePassword", "MakesItsLog"}
"""Statements that the template's functions do not need: they log in by IAM, and their log groups are created first. A
group recreated by the last log lines of a deleted function would block the next stack."""


class Missing(Exception):
    """A stage's settings are not sufficient to derive its functions' rights."""


def for_cloudformation(document: Any) -> Any:
    """A policy with references to the template's own resources instead of placeholders."""
    statements = [part for part in document["Statement"] if part["Sid"] not in _OF_PLAIN_DEPLOY]
    if not any(map(_names, statements)):
        raise ValueError(
            "These policies were written for plain `chalice deploy`; the template needs .chalice/policies: revert the "
            "paths in .chalice/config.json, for instance with `git checkout .chalice/config.json`"
        )
    return {**document, "Statement": [_referring(part) for part in statements]}


def names_a_resource(statement: Any) -> bool:
    """Whether it depends on a resource of the template."""
    return not _OF_THE_ACCOUNT.issuperset(_names(statement))


def _names(part: Any) -> list[str]:
    return _NAME.findall(json.dumps(part))


def _referring(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _referring(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_referring(value) for value in part]
    return _reference(part) if isinstance(part, str) else part


def _reference(text: str) -> Any:
    names = _NAME.findall(text)
    if not names:
        return text
    if text == f"${{{names[0]}}}" and names[0] in COMPUTED:
        return COMPUTED[names[0]]
    computed = {name: COMPUTED[name] for name in names if name in COMPUTED}
    template = _NAME.sub(lambda match: _SUBSTITUTED.get(match[1], match[0]), text)
    return {"Fn::Sub": [template, computed]} if computed else {"Fn::Sub": template}


def rendered(document: Any, values: Mapping[str, str | list[str]]) -> Any:
    """A policy with values instead of placeholders. Statements about things the stage does not use are omitted."""
    statements = [statement for statement in document["Statement"] if not _unused(statement, values)]
    return {**document, "Statement": [_filled(statement, values) for statement in statements]}


def _unused(statement: Any, values: Mapping[str, str | list[str]]) -> bool:
    names = _names(statement)
    unknown = [name for name in names if name not in values]
    if unknown:
        raise Missing(f"{', '.join(unknown)} is unknown")
    return any(not values[name] for name in names)


def _filled(part: Any, values: Mapping[str, str | list[str]]) -> Any:
    if isinstance(part, dict):
        return {key: _filled(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, values) for value in part]
    if not isinstance(part, str):
        return part
    whole = _NAME.fullmatch(part)
    return values[whole[1]] if whole else _NAME.sub(lambda match: str(values[match[1]]), part)


def values_of(stage: str, environ: Mapping[str, str], database_id: str) -> dict[str, str | list[str]]:
    """The placeholders' values for a function with these variables. Raises Missing naming the variable."""
    queue = _matched(QUEUE_URL, environ, "SYNC_QUEUE_URL")
    keys = [key.strip() for key in environ.get("KMS_KEY_IDS", "").split(",")]
    if not all(_KEY_ARN.fullmatch(key) for key in keys):
        raise Missing("KMS_KEY_IDS must be ARNs of KMS keys, comma-separated")
    by_iam = environ.get("DATABASE_AUTH") == "iam"
    if by_iam and not _DATABASE_ID.fullmatch(database_id):
        raise Missing("DATABASE_AUTH=iam needs --database-id: db-..., cluster-..., or prx-... for RDS Proxy")
    partition = keys[0].split(":")[1]
    dead = environ.get("DEAD_LETTER_QUEUE_URL") and _matched(QUEUE_URL, environ, "DEAD_LETTER_QUEUE_URL")
    return {
        "Partition": partition,
        "Region": queue["region"],
        "Account": queue["account"],
        "Stage": stage,
        "QueueArn": _queue_arn(partition, queue),
        "DeadLetterArn": _queue_arn(partition, dead) if dead else "",
        "KeyArns": keys,
        "DatabaseId": database_id if by_iam else "",
        "LoginSecretArn": _secret_arn(environ, "DATABASE_SECRET_ARN"),
        "OwnerSecretArn": _secret_arn(environ, "MIGRATION_DATABASE_SECRET_ARN"),
        "PlatformSecretArn": _secret_arn(environ, "PLATFORM_SECRETS_ARN"),
        "TenantProofSecretArn": _matched(_SECRET_ARN, environ, "TENANT_PROOF_SECRET_ARN")[0],
    }


def _matched(pattern: re.Pattern[str], environ: Mapping[str, str], name: str) -> re.Match[str]:
    match = pattern.fullmatch(environ.get(name, ""))
    if match is None:
        raise Missing(f"{name} is not set, or is not a valid value of AWS")
    return match


def _queue_arn(partition: str, queue: re.Match[str]) -> str:
    return f"arn:{partition}:sqs:{queue['region']}:{queue['account']}:{queue['name']}"


def _secret_arn(environ: Mapping[str, str], name: str) -> str:
    return _matched(_SECRET_ARN, environ, name)[0] if environ.get(name) else ""


def write(stage: str, database_id: str, chalice: Path = CHALICE, outputs: Mapping[str, str] | None = None) -> list[str]:
    """Writes the stage's policies and points its functions at them, with the stack's outputs as its settings.

    All or nothing. Returns the settings that changed. Raises Missing.
    """
    config = json.loads((chalice / "config.json").read_text())
    of_stage = config["stages"][stage]
    changed = apply(of_stage, outputs) if outputs else []
    if outputs and (url := _deployed_url(chalice, stage)) and "PUBLIC_URL" not in of_stage["environment_variables"]:
        of_stage["environment_variables"]["PUBLIC_URL"] = url
        changed.append("PUBLIC_URL")
    done: dict[str, str] = {}
    for name in FUNCTIONS:
        function = of_stage if name == "api" else of_stage["lambda_functions"][name]
        variables = of_stage["environment_variables"]
        if name in WITHOUT_SETTINGS:
            function["environment_variables"] = {key: "" for key in variables if key not in SETTINGS_OF_ALL}
        environ = variables if name in WITHOUT_SETTINGS else {**variables, **function.get("environment_variables", {})}
        _ensure_certificates(environ, chalice.parent)
        document = json.loads((chalice / "policies" / f"{name}.json").read_text())
        done[name] = json.dumps(rendered(document, values_of(stage, environ, database_id)), indent=2) + "\n"
        function["iam_policy_file"] = f"policies/{stage}/{name}.json"
    (chalice / "policies" / stage).mkdir(exist_ok=True)
    for name, text in done.items():
        (chalice / "policies" / stage / f"{name}.json").write_text(text)
    (chalice / "policies" / stage / "names.json").write_text(json.dumps(_names_of_functions(stage), indent=2) + "\n")
    (chalice / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return changed


def _deployed_url(chalice: Path, stage: str) -> str | None:
    """The API's own URL, which exists after the first deployment; a domain is the operator's to set."""
    try:
        deployed = json.loads((chalice / "deployed" / f"{stage}.json").read_text())["resources"]
    except FileNotFoundError:
        return None
    return next((made["rest_api_url"].rstrip("/") for made in deployed if "rest_api_url" in made), None)


def _names_of_functions(stage: str) -> dict[str, Any]:
    """For `chalice package --merge-template`, which leaves names to CloudFormation. Policies and alarms know these."""
    names = {name.title(): f"{stack_name(stage)}-{name}" for name in FUNCTIONS}
    del names["Api"]
    named = {"APIHandler": stack_name(stage), **names}
    return {"Resources": {name: {"Properties": {"FunctionName": value}} for name, value in named.items()}}


def _ensure_certificates(environ: Mapping[str, str], project: Path) -> None:
    """Chalice packs what is in vendor/. Without the database's authorities every login would fail, once deployed."""
    packed = project / "vendor" / CERTIFICATES
    if not packed.exists() and any(f"{TASK_ROOT}/{CERTIFICATES}" in value for value in environ.values()):
        raise Missing(f"vendor/{CERTIFICATES} does not exist: run `make certificates REGION=...` first")


def write_from_stack(options: argparse.Namespace, cloud: Cloud) -> None:
    """Takes from the infrastructure's stack what would otherwise be typed into `.chalice/config.json`."""
    name = f"{options.stage}{INFRASTRUCTURE}"
    found = find_stack(cloud, name)
    if found is None or DATABASE_ID not in found.outputs:
        first = f"run `make infrastructure STAGE={options.stage} BUCKET=...`"
        raise DeployError(f"there is no complete stack {stack_name(name)} in {cloud.region}: {first}")
    try:
        changed = write(options.stage, found.outputs[DATABASE_ID], options.chalice, found.outputs)
    except Missing as error:
        raise DeployError(f"nothing was written: {error}") from error
    print(f"stage {options.stage} in .chalice/config.json: {', '.join(changed) or 'already as in the stack'}")
    print(f"policies in .chalice/policies/{options.stage}: {', '.join(FUNCTIONS)}")
    print(f"next: PIP_NO_DEPS=1 .venv/bin/chalice deploy --stage {options.stage}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.policies", description=__doc__)
    parser.add_argument("--stage", choices=list_stages(), required=True)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--from-stack", action="store_true", help="also write the settings, from `make infrastructure`")
    source.add_argument("--database-id", default="", help="resource id of the database, or of RDS Proxy if used")
    parser.add_argument("--region", help="with --from-stack (default: AWS_REGION or the profile's)")
    parser.set_defaults(run=write_from_stack, chalice=CHALICE)
    options = parser.parse_args(arguments)
    if options.from_stack:
        return stack.run(options)
    try:
        write(options.stage, options.database_id, options.chalice)
    except Missing as error:
        print(f"No policies were written: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

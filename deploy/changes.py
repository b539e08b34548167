"""Change sets: created, shown and checked before anything changes, then executed and watched until they end."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from botocore.exceptions import WaiterError

from deploy import releases
from deploy.cloud import INFRASTRUCTURE, Cloud, DeployError, Stack, find_stack, read_template, stack_name
from deploy.releases import Release

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
KEPT = {
    "AWS::RDS::DBInstance": "the database and everything in it",
    "AWS::RDS::DBCluster": "the database and everything in it",
    "AWS::KMS::Key": "every data key that it wraps, and so every token",
    "AWS::SecretsManager::Secret": "the secrets in it",
    "AWS::S3::Bucket": "the objects in it",
    "AWS::ApiGateway::RestApi": "the URL that clients, redirect URIs and webhooks use",
}
"""What must not be deleted by accident, and what would be lost with it."""
ENDED = {
    *("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"),
    *("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"),
    *("ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED"),
}
SUCCESS = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}
WHAT_TO_DO = {
    "ROLLBACK_COMPLETE": "nothing that was created stays; fix the cause, then deploy again",
    "ROLLBACK_FAILED": "its events say what could not be rolled back, such as a protected database: fix that, then "
    "remove it with {delete}",
    "UPDATE_ROLLBACK_FAILED": "fix the cause, then run `aws cloudformation continue-update-rollback "
    "--stack-name ansel-{stage}`",
    "DELETE_FAILED": "fix the cause, then run {delete} again",
}
POLL_SECONDS = 3.0


@dataclass(frozen=True)
class Change:
    action: str
    resource: str
    kind: str
    replaced: Literal["no", "yes", "perhaps"] = "no"
    note: str = ""
    """A property worth a look before one agrees"""

    @property
    def loss(self) -> str | None:
        """What the change would destroy."""
        goes = self.action == "Remove" or self.replaced != "no"
        return KEPT.get(self.kind) if goes else None

    def __str__(self) -> str:
        action = {"yes": "REPLACE", "perhaps": "REPLACE?", "no": self.action.lower()}[self.replaced]
        line = f"  {action:9} {self.resource}  {self.kind}"
        line = f"{line}  {self.note}" if self.note else line
        return f"{line}  LOSES {self.loss}" if self.loss else line


@dataclass(frozen=True)
class ChangeSet:
    id: str
    changes: list[Change]


def ensure_ready(stack: Stack | None, stage: str) -> None:
    """DeployError for a stack that cannot be changed now."""
    if stack is None or stack.is_new:
        return
    if stack.status.endswith("_IN_PROGRESS"):
        raise DeployError(f"{stack.name} is being changed by another deployment ({stack.status}): wait for it")
    if stack.status in WHAT_TO_DO:
        raise DeployError(f"{stack.name} is {stack.status}: {_advice(stack.status, stage)}")


def _advice(status: str, stage: str) -> str:
    owner = stage.removesuffix(INFRASTRUCTURE)
    module = "deploy.stack" if owner == stage else "deploy.infrastructure"
    return WHAT_TO_DO[status].format(stage=stage, delete=f"`python -m {module} delete --stage {owner}`")


def make_change_set(
    cloud: Cloud, stage: str, stack: Stack | None, release: Release, given: Mapping[str, str]
) -> ChangeSet | None:
    """None if there is nothing to change. Parameters that are not given keep their values."""
    is_update = stack is not None and not stack.is_new
    made = cloud.cloudformation.create_change_set(
        StackName=stack_name(stage),
        ChangeSetName=f"release-{release.id}-{int(time.time())}",
        ChangeSetType="UPDATE" if is_update else "CREATE",
        TemplateURL=release.template_url,
        Parameters=list(_parameters(release, stack.parameters if stack and is_update else {}, given)),
        Capabilities=CAPABILITIES,
    )
    try:
        waiter = cloud.cloudformation.get_waiter("change_set_create_complete")
        waiter.wait(ChangeSetName=made["Id"], WaiterConfig={"Delay": POLL_SECONDS, "MaxAttempts": 200})
    except WaiterError as error:
        _ensure_unchanged(cloud, made["Id"], error)
        return None
    pages = cloud.cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=made["Id"])
    changes = read_changes(change for page in pages for change in page["Changes"])
    deployed = read_template(cloud, stack.id)["Resources"] if stack and is_update else {}
    return ChangeSet(made["Id"], with_runtimes(changes, deployed, release.template["Resources"]))


def with_runtimes(changes: list[Change], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Says of each function which Python it will run, if that changes: the deploying machine decided it once."""
    noted = []
    for change in changes:
        was, becomes = _runtime(before, change.resource), _runtime(after, change.resource)
        note = "" if was == becomes or not becomes else f"Runtime {was} -> {becomes}" if was else f"Runtime {becomes}"
        noted.append(replace(change, note=note))
    return noted


def _runtime(resources: Mapping[str, Any], name: str) -> str:
    return str(resources.get(name, {}).get("Properties", {}).get("Runtime", ""))


def _parameters(release: Release, known: Collection[str], given: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    yield {"ParameterKey": releases.PARAMETER, "ParameterValue": release.id}
    for name in release.parameters:
        if name in given:
            yield {"ParameterKey": name, "ParameterValue": given[name]}
        elif name in known and name != releases.PARAMETER:
            yield {"ParameterKey": name, "UsePreviousValue": True}


def _ensure_unchanged(cloud: Cloud, change_set: str, error: WaiterError) -> None:
    """CloudFormation reports "nothing to change" as a failure, only in words; failed change sets must not pile up."""
    reason = str(error.last_response.get("StatusReason", error))
    cloud.cloudformation.delete_change_set(ChangeSetName=change_set)
    if not ("didn't contain changes" in reason or "No updates are to be performed" in reason):
        raise DeployError(f"CloudFormation refuses the template: {reason}") from error


def read_changes(answered: Iterable[Mapping[str, Any]]) -> list[Change]:
    """From `Changes` as DescribeChangeSet returns them; losses are listed last, where they are noticed."""
    found = [change["ResourceChange"] for change in answered if "ResourceChange" in change]
    stay = {change["LogicalResourceId"] for change in found if change.get("Replacement") == "False"}
    changes = [
        Change(change["Action"], change["LogicalResourceId"], change["ResourceType"], _is_replaced(change, stay))
        for change in found
    ]
    return sorted(changes, key=lambda change: (change.loss is not None, change.action, change.resource))


def _is_replaced(change: Mapping[str, Any], stay: set[str]) -> Literal["no", "yes", "perhaps"]:
    """`Conditional` also covers references to a resource that changes in place, whose names stay the same."""
    match change.get("Replacement"):
        case "True":
            return "yes"
        case "Conditional":
            causes = [
                detail.get("CausingEntity", "").partition(".")[0]
                for detail in change.get("Details", [])
                if detail.get("Target", {}).get("RequiresRecreation") != "Never"
            ]
            return "no" if causes and stay.issuperset(causes) else "perhaps"
        case _:
            return "no"


def discard(cloud: Cloud, stage: str, change_set: ChangeSet) -> None:
    """For a stack that was never created, this also deletes its empty shell."""
    cloud.cloudformation.delete_change_set(ChangeSetName=change_set.id)
    stack = find_stack(cloud, stage)
    if stack is not None and stack.is_new:
        cloud.cloudformation.delete_stack(StackName=stack.id)


def execute(cloud: Cloud, stage: str, change_set: ChangeSet | None) -> None:
    """Waits for the end; if there is nothing to change, it executes at once."""
    if change_set is None:
        return
    seen = _newest_event(cloud, stack_name(stage))
    cloud.cloudformation.execute_change_set(ChangeSetName=change_set.id, StackName=stack_name(stage))
    _watch(cloud, stage, stack_name(stage), seen)


def delete(cloud: Cloud, stage: str, stack: Stack) -> None:
    seen = _newest_event(cloud, stack.id)
    cloud.cloudformation.delete_stack(StackName=stack.id)
    _watch(cloud, stage, stack.id, seen)


def list_retained(cloud: Cloud, stack: Stack) -> list[str]:
    """Resources that a deletion retains or snapshots."""
    resources = read_template(cloud, stack.id)["Resources"]
    policies = {name: resource.get("DeletionPolicy", "Delete") for name, resource in resources.items()}
    pages = cloud.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack.id)
    there = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [
        f"{resource['ResourceType']} {resource['PhysicalResourceId']} ({policies[resource['LogicalResourceId']]})"
        for resource in there
        if policies.get(resource["LogicalResourceId"], "Delete") != "Delete"
    ]


def _newest_event(cloud: Cloud, stack: str) -> str | None:
    events = cloud.cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return events[0]["EventId"] if events else None


def _watch(cloud: Cloud, stage: str, stack: str, seen: str | None) -> None:
    """Prints events until it has ended; DeployError with the first failure unless it succeeded."""
    first_failure: str | None = None
    while True:
        for event in _events_after(cloud, stack, seen):
            seen = event["EventId"]
            status, resource = event["ResourceStatus"], event["LogicalResourceId"]
            reason = event.get("ResourceStatusReason", "")
            if status.endswith("_FAILED") and "cancelled" not in reason:
                print(f"  {status}  {resource}  {reason}", flush=True)
                first_failure = first_failure or f"{resource} ({event['ResourceType']}): {reason}"
            if event.get("PhysicalResourceId") == event["StackId"] and status in ENDED:
                _judge(stage, status, first_failure)
                return
        time.sleep(POLL_SECONDS)


def _events_after(cloud: Cloud, stack: str, seen: str | None) -> list[dict[str, Any]]:
    """Oldest first. CloudFormation returns them newest first, a hundred per page."""
    found: list[dict[str, Any]] = []
    for page in cloud.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
        for event in page["StackEvents"]:
            if event["EventId"] == seen:
                return found[::-1]
            found.append(event)
    return found[::-1]


def _judge(stage: str, status: str, first_failure: str | None) -> None:
    if status in SUCCESS:
        return
    advice = _advice(status, stage) if status in WHAT_TO_DO else "everything is as it was"
    raise DeployError(f"{first_failure or status}. {stack_name(stage)} is {status}: {advice}")

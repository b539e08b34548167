"""A stage's first deployment: what has to wait until the service is healthy, and what a failed one must not leave."""

import sys
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError

from deploy import changes
from deploy.cloud import Cloud, DeployError, Stack, find_stack
from deploy.releases import Release

PROTECTION = "DatabaseDeletionProtection"
WHEN_HEALTHY = "when-healthy"
"""The value of PROTECTION meanwhile: a failed creation could not be rolled back with a protected database."""
FAILED = "ROLLBACK_COMPLETE"
"""CloudFormation has undone a creation: a stack without resources, which can only be deleted."""
DATABASES = ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster")


def creating(release: Release, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters to create the stage with. Says which of them change by themselves later."""
    parameter = release.parameters.get(PROTECTION, {})
    may_wait = WHEN_HEALTHY in parameter.get("AllowedValues", [])
    waits = may_wait and given.get(PROTECTION, parameter.get("Default")) == "true"
    later = [f"{PROTECTION}=true"] if waits else []
    if "PublicUrl" in release.parameters and not (given.get("PublicUrl") or given.get("DomainName")):
        later.append("PublicUrl=(the API's own URL)")
    if later:
        print(f"to follow once the service is healthy: {', '.join(later)}")
    return {**given, PROTECTION: WHEN_HEALTHY} if waits else dict(given)


def find_open(stack: Stack, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters that the first deployment still has to set, now that the API exists and is healthy."""
    found = {}
    if stack.parameters.get(PROTECTION) == WHEN_HEALTHY:
        found[PROTECTION] = "true"
    has_url = stack.parameters.get("PublicUrl", "?") or stack.parameters.get("DomainName") or "PublicUrl" in given
    if not has_url and (url := own_url(stack)):
        found["PublicUrl"] = url
    return found


def own_url(stack: Stack) -> str:
    """The API's URL at AWS, in the form of PUBLIC_URL."""
    return stack.outputs.get("EndpointURL", "").rstrip("/")


def following_the_domain(stack: Stack, given: Mapping[str, str]) -> dict[str, str]:
    """A domain that comes later takes the place of the API's own URL, unless another PublicUrl was chosen."""
    is_own = stack.parameters.get("PublicUrl") not in (None, "") and stack.parameters["PublicUrl"] == own_url(stack)
    if not (given.get("DomainName") and is_own and "PublicUrl" not in given):
        return dict(given)
    print(f"PUBLIC_URL becomes https://{given['DomainName']}: register its URLs at the platforms before you agree")
    return {**given, "PublicUrl": ""}


def remove_failed(cloud: Cloud, stage: str) -> None:
    """Deletes the empty stack of a failed creation, and the snapshots of a database that nobody has used."""
    stack = find_stack(cloud, stage)
    if stack is None or stack.status != FAILED:
        return
    for kind, name in _list_databases(cloud, stack):
        _delete_snapshots(cloud, kind, name)
    changes.delete(cloud, stage, stack)  # the last, because it is what the next attempt looks for
    print(f"removed what the failed first deployment of {stack.name} had left")


def try_to_remove_failed(cloud: Cloud, stage: str) -> None:
    """For use while the failure itself is reported."""
    try:
        remove_failed(cloud, stage)
    except (DeployError, BotoCoreError, ClientError) as error:
        print(f"what it left could not be removed, and the next deployment tries again: {error}", file=sys.stderr)


def _list_databases(cloud: Cloud, stack: Stack) -> set[tuple[str, str]]:
    pages = cloud.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack.id)
    events = [event for page in pages for event in page["StackEvents"]]
    return {
        (event["ResourceType"], event["PhysicalResourceId"])
        for event in events
        if event["ResourceType"] in DATABASES and event.get("PhysicalResourceId")
    }


def _delete_snapshots(cloud: Cloud, kind: str, name: str) -> None:
    """CloudFormation takes one whenever it deletes a database, even one that it has just created."""
    rds = cloud.client("rds")
    if kind == "AWS::RDS::DBCluster":
        found = rds.describe_db_cluster_snapshots(DBClusterIdentifier=name, SnapshotType="manual")["DBClusterSnapshots"]
        for snapshot in found:
            rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot["DBClusterSnapshotIdentifier"])
        return
    for snapshot in rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="manual")["DBSnapshots"]:
        rds.delete_db_snapshot(DBSnapshotIdentifier=snapshot["DBSnapshotIdentifier"])

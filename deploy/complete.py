"""`python -m deploy.complete`: settings of the template that Chalice cannot express, for functions that it deployed.

They are read from `.chalice/resources`, survive later deployments, and may be set again at any time.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from deploy import stack, template
from deploy.cloud import Cloud, DeployError
from deploy.stages import list_stages

CONCURRENCY, LOG_DAYS = "SyncConcurrency", "LogRetentionDays"
"""Parameters of the template whose values are options here."""


def complete(options: argparse.Namespace, cloud: Cloud) -> None:
    document = template.resources(options.stage)
    given = {CONCURRENCY: options.sync_concurrency, LOG_DAYS: options.log_days}
    values = {name: given[name] or document["Parameters"][name]["Default"] for name in given}
    logs = cloud.client("logs")
    for function, properties in _functions(document, options.stage):
        done = [*_set_retries(cloud, function, properties), *_set_trigger(cloud, function, properties, values)]
        _keep_log(logs, f"/aws/lambda/{function}", values[LOG_DAYS])
        print(f"{function}: {', '.join([*done, f'log kept for {values[LOG_DAYS]} days'])}")


def _functions(document: dict[str, Any], stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each function's name with what the template adds to Chalice's."""
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        if "Type" not in resource and "FunctionName" in properties:
            yield properties["FunctionName"]["Fn::Sub"].replace("${Stage}", stage), properties


def _set_retries(cloud: Cloud, function: str, properties: dict[str, Any]) -> Iterator[str]:
    config = properties.get("EventInvokeConfig", {})
    try:
        cloud.functions.get_function_configuration(FunctionName=function)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise DeployError(
                f"there is no function {function} in {cloud.region}: run `chalice deploy` first"
            ) from error
        raise
    if config:
        cloud.functions.put_function_event_invoke_config(FunctionName=function, **config)
        yield f"{config['MaximumRetryAttempts']} retries"


def _set_trigger(cloud: Cloud, function: str, properties: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
    for event in properties.get("Events", {}).values():
        wanted = event["Properties"]
        if "FunctionResponseTypes" not in wanted:
            continue
        found = cloud.functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        if len(found) != 1:
            raise DeployError(f"{function} has {len(found)} queues instead of one: run `chalice deploy` again")
        concurrency = int(values[CONCURRENCY])
        cloud.functions.update_event_source_mapping(
            UUID=found[0]["UUID"],
            FunctionResponseTypes=wanted["FunctionResponseTypes"],
            ScalingConfig={"MaximumConcurrency": concurrency},
        )
        yield f"{', '.join(wanted['FunctionResponseTypes'])}, {concurrency} at once"


def _keep_log(logs: Any, group: str, days: int) -> None:
    """Lambda creates a group at the function's first line, without an end."""
    try:
        logs.create_log_group(logGroupName=group)
    except logs.exceptions.ResourceAlreadyExistsException:
        pass  # the function has run, or this is done again
    logs.put_retention_policy(logGroupName=group, retentionInDays=int(days))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.complete", description=__doc__)
    parser.add_argument("--stage", choices=list_stages(), required=True)
    parser.add_argument("--region", help="default: AWS_REGION or the profile's")
    parser.add_argument("--sync-concurrency", type=int, help="runs at once (default: the stage's in the template)")
    parser.add_argument("--log-days", type=int, help="days that logs are kept (default: the template's)")
    parser.set_defaults(run=complete)
    return stack.run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())

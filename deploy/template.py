"""The CloudFormation template: our resources, which Chalice merges, and what is changed in the template afterwards."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.gateway_responses import gateway_responses
from deploy.policies import for_cloudformation, names_a_resource
from deploy.stages import get_stage

FOLDER = Path(__file__).parent.parent / ".chalice" / "resources"
SECTIONS = ("Parameters", "Rules", "Conditions", "Resources", "Outputs")


def resources(stage: str) -> dict[str, Any]:
    """All files in one, for `chalice package --merge-template`; as JSON, it is a .json template. Raises StageError."""
    defaults = FOLDER / "stages" / f"{get_stage(stage).like}.yaml"
    document: dict[str, Any] = {section: {} for section in SECTIONS}
    for path in sorted(FOLDER.glob("*.yaml")):
        for section, entries in read(path).items():
            taken = document[section].keys() & entries.keys()
            if taken:
                raise ValueError(f"{path.name} declares {', '.join(sorted(taken))} a second time")
            document[section].update(entries)
    for name, parameter in read(defaults)["Parameters"].items():
        document["Parameters"][name].update(parameter)
    document["Parameters"]["Stage"].update(Default=stage, AllowedValues=[stage])
    _write_dashboard(document["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    definition = document["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
    definition["x-amazon-apigateway-gateway-responses"] = gateway_responses()
    return document


def finished(packaged: dict[str, Any], stage: str) -> dict[str, Any]:
    """The final template, from the one that Chalice packaged with `resources(stage)` merged into it."""
    packaged_for = packaged["Parameters"]["Stage"]["Default"]
    if packaged_for != stage:
        raise ValueError(f"This template was packaged for {packaged_for}, not for {stage}")
    template = copy.deepcopy(packaged)
    for name, role in _of_type(template, "AWS::IAM::Role").items():
        if f"{name}Policy" in [policy["PolicyName"] for policy in role["Properties"].get("Policies", [])]:
            _set_policy_apart(template["Resources"], name)
    for function in _of_type(template, "AWS::Serverless::Function").values():
        # The queue's trigger is refused unless the function's role may receive messages.
        role = function["Properties"]["Role"]["Fn::GetAtt"][0]
        if f"{role}Policy" in template["Resources"]:
            function["DependsOn"] = f"{role}Policy"
    copied: dict[str, Any] = json.loads(json.dumps(template))  # no object twice, or YAML would use an alias
    return copied


def _set_policy_apart(resources: dict[str, Any], role: str) -> None:
    """The key's policy names the role and the role's policy the key: in one resource they would depend on each other.

    Statements that name no resource stay with the role, which exists long before the function: until IAM has propagated
    the role's right to the network, Lambda would refuse the function.
    """
    (policy,) = resources[role]["Properties"]["Policies"]
    early, late = _parted(policy["PolicyDocument"])
    resources[role]["Properties"]["Policies"] = [{"PolicyName": "start", "PolicyDocument": early}]
    if not late["Statement"]:
        return
    resources[f"{role}Policy"] = {
        "Type": "AWS::IAM::Policy",
        "Properties": {"PolicyName": policy["PolicyName"], "PolicyDocument": late, "Roles": [{"Ref": role}]},
    }


def _parted(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for late in (False, True):
        statements = [part for part in document["Statement"] if names_a_resource(part) == late]
        yield for_cloudformation({**document, "Statement": statements}) if statements else {"Statement": []}


def _of_type(template: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in template["Resources"].items() if resource.get("Type") == kind}


def _write_dashboard(body: dict[str, Any]) -> None:
    """CloudWatch expects a dashboard as JSON text, into which !Sub then inserts names."""
    widgets, values = body["Fn::Sub"]
    body["Fn::Sub"] = [json.dumps(widgets), values]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms (!Ref, !Sub, ...)."""


def _intrinsic(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        raise yaml.YAMLError(f"!{tag} needs text or a list")
    if tag == "GetAtt":
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def read(path: Path) -> dict[str, Any]:
    """A template in YAML, its short forms written out."""
    document: dict[str, Any] = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506  # a safe loader
    return document

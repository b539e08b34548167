"""CloudFormation as the product's template needs it: moto has no SAM, no rollback, and not every type."""

import json
import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from itertools import islice
from typing import Any

from moto.cloudformation import models, parsing
from moto.cloudformation.exceptions import ValidationError
from moto.core.common_models import CloudFormationModel
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

SAM = "AWS::Serverless-2016-10-31"
UNMODELLED = {
    "AWS::ApiGateway::BasePathMapping",
    "AWS::ApiGateway::DomainName",
    "AWS::ApiGateway::Stage",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBClusterParameterGroup",
    "AWS::RDS::DBProxy",
    "AWS::RDS::DBProxyTargetGroup",
    "AWS::SNS::Subscription",
    "AWS::SQS::QueuePolicy",
    "AWS::WAFv2::WebACL",
    "AWS::WAFv2::WebACLAssociation",
}
"""Types that moto's CloudFormation cannot create: they are skipped, and references to them become names. A type
that is neither modelled nor listed here fails the deployment. docs/deploying.md lists them as not tried."""

Stack: Any = models.Stack
ChangeSet: Any = models.ChangeSet
Backend: Any = models.CloudFormationBackend
_create_change_set = Backend.create_change_set
_execute_change_set = Backend.execute_change_set
_clean_json = parsing.clean_json
ResourceMap: Any = parsing.ResourceMap
_build_resource_diff = ResourceMap.build_resource_diff
_delete_all = ResourceMap.delete
_delete_resource = ResourceMap._delete_resource


def patch() -> None:
    Backend.create_change_set = _create
    Backend.execute_change_set = _execute
    Stack.stack_resources = property(_made)
    # The templates here are JSON, which moto parses as YAML repeatedly.
    Stack.parse_template = staticmethod(json.loads)
    ChangeSet._parse_template = _parse
    ResourceMap.build_resource_diff = _diff
    ResourceMap.delete = _delete
    ResourceMap._delete_resource = _snapshot_and_delete
    parsing.clean_json = _clean  # type: ignore[assignment]  # it names its arguments otherwise
    parsing.parse_and_create_resource = _naming(parsing.parse_and_create_resource)
    parsing.parse_and_update_resource = _naming(parsing.parse_and_update_resource)


def _parse(change_set: Any) -> None:
    change_set.template_dict = json.loads(change_set.template)


def _made(stack: Any) -> list[Any]:
    """moto treats resources excluded by a condition as resources, and fails."""
    return [resource for resource in stack.resource_map.values() if resource is not None]


class _NoManagedPolicies(ManagedPolicyLoader):  # type: ignore[misc]  # it publishes no types
    """The transform looks up AWS's managed policies in IAM; the template uses none."""

    def __init__(self) -> None: ...

    def load(self) -> dict[str, str]:
        return {}


def _create(backend: Any, *args: Any, template: str, parameters: dict[str, str], **kwargs: Any) -> Any:
    """Applies the transform as CloudFormation does; moto would read the template untransformed."""
    document = json.loads(template)
    if document.get("Transform") == SAM:
        document = transform(document, {}, _NoManagedPolicies())
    values = dict(_values(document.get("Parameters", {}), parameters))
    return _create_change_set(backend, *args, template=json.dumps(_modelled(document)), parameters=values, **kwargs)


def _values(declared: dict[str, Any], given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """moto parses lists and numbers of given values only, and returns previous values already parsed."""
    for name, parameter in declared.items():
        value = given.get(name, parameter.get("Default"))
        if value is not None:
            yield name, ",".join(value) if isinstance(value, list) else str(value)


def _modelled(document: dict[str, Any]) -> dict[str, Any]:
    resources = document["Resources"]
    left_out = {name for name, resource in resources.items() if resource["Type"] in UNMODELLED}
    kept = {name: resource for name, resource in resources.items() if name not in left_out}
    if foreign := {resource["Type"] for resource in kept.values()} - set(parsing.get_model_map()):
        raise ValidationError(message=f"moto models no {', '.join(sorted(foreign))}")
    for resource in kept.values():
        if isinstance(depends := resource.get("DependsOn"), list):
            resource["DependsOn"] = [name for name in depends if name not in left_out]
        elif depends in left_out:
            del resource["DependsOn"]
    modelled: dict[str, Any] = _without_references({**document, "Resources": kept}, left_out)
    return modelled


def _without_references(node: Any, names: set[str]) -> Any:
    """The same, with references to skipped resources replaced by their names."""
    if isinstance(node, list):
        return [_without_references(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    match node:
        case {"Ref": str(name)} if name in names:
            return name
        case {"Fn::GetAtt": [name, *rest]} if name in names:
            return ".".join([name, *rest])
        case {"Fn::GetAtt": str(path)} if path.split(".")[0] in names:
            return path
        case {"Fn::Sub": str(text)}:
            return {"Fn::Sub": _without_variables(text, names)}
        case {"Fn::Sub": [text, variables]}:
            return {"Fn::Sub": [_without_variables(text, names), _without_references(variables, names)]}
    return {key: _without_references(value, names) for key, value in node.items()}


def _without_variables(text: str, names: set[str]) -> str:
    return re.sub(r"\$\{(\w+)([.\w]*)\}", lambda found: found[1] + found[2] if found[1] in names else found[0], text)


def _clean(node: Any, resources: Any) -> Any:
    """moto has all of the template's intrinsic functions except this one."""
    match node:
        case {"Fn::Cidr": [block, count, bits]}:
            network = ip_network(_clean_json(block, resources))
            subnets = network.subnets(new_prefix=network.max_prefixlen - int(bits))
            return [str(subnet) for subnet in islice(subnets, int(count))]
    return _clean_json(node, resources)


def _tell_deletions(stack: Any) -> None:
    """moto has no events of resources that are deleted."""
    for resource in stack.resource_map._parsed_resources.values():
        if isinstance(resource, CloudFormationModel):
            about: Any = resource
            name = getattr(about, "physical_resource_id", about.logical_resource_id)  # moto gives a rule none
            told = (about.logical_resource_id, name, about.cf_resource_type, "DELETE_COMPLETE")
            stack.events.append(models.Event(stack.stack_id, stack.name, *told, None, None))


class _Failed(Exception):
    def __init__(self, resource: str, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.resource = resource
        self.kind = kind


def _naming(make: Callable[..., Any]) -> Callable[..., Any]:
    """An error raised by moto does not name the resource; the innermost one is the cause."""

    def named(logical_id: str, resource: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return make(logical_id, resource, *args, **kwargs)
        except KeyError as error:  # which moto would mistake for a resource that is not in the template
            raise _Failed(logical_id, resource["Type"], f"{error} is missing") from error
        except _Failed:
            raise
        except Exception as error:
            raise _Failed(logical_id, resource["Type"], f"{error}" or type(error).__name__) from error

    return named


def _execute(backend: Any, change_set_name: str, stack_name: str | None = None) -> None:
    """moto turns an error of a resource into a 500 response and leaves the stack half done."""
    change_set = backend.describe_change_set(change_set_name)
    stack = change_set.stack
    before, parameters = stack.resource_map._template, stack.parameters
    try:
        _execute_change_set(backend, change_set_name, stack_name)
    except _Failed as error:
        _roll_back(stack, change_set.change_set_type, before, parameters, error)
        stack.template = stack.template or change_set.template
        return
    stack.parameters = change_set.parameters
    stack._parse_template()
    stack.output_map = stack._create_output_map()  # moto keeps the previous outputs


def _diff(resources: Any, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> dict[str, list[str]]:
    """moto overlooks a parameter that changes a resource through a condition only."""
    found: dict[str, list[str]] = _build_resource_diff(resources, template, parameters)
    changed = {name for name, value in (parameters or {}).items() if resources.input_parameters.get(name) != value}
    old, conditions = resources._resource_json_map, template.get("Conditions", {})
    for name, resource in template["Resources"].items():
        if name in old and name not in found["Modify"] and changed & set(_deciding(resource, conditions)):
            found["Modify"].append(name)
    return found


def _deciding(node: Any, conditions: dict[str, Any]) -> Iterator[str]:
    """The parameters on which a node's Fn::If depend."""
    if isinstance(node, dict):
        if isinstance(choice := node.get("Fn::If"), list):
            yield from parsing.get_references_from_template(conditions[choice[0]])
        for value in node.values():
            yield from _deciding(value, conditions)
    elif isinstance(node, list):
        for value in node:
            yield from _deciding(value, conditions)


def _delete(resources: Any) -> None:
    """moto knows Retain, but not RetainExceptOnCreate, which is the same once the stack was created."""
    _set_policy(resources, "RetainExceptOnCreate", "Retain")
    _delete_all(resources)


def _set_policy(resources: Any, old: str, new: str) -> None:
    for resource in resources._resource_json_map.values():
        if resource.get("DeletionPolicy") == old:
            resource["DeletionPolicy"] = new


def _snapshot_and_delete(resources: Any, resource: Any, declared: dict[str, Any]) -> None:
    """moto ignores the policy Snapshot."""
    if declared.get("DeletionPolicy") == "Snapshot" and declared["Type"] == "AWS::RDS::DBInstance":
        name = resource.db_instance_identifier
        resource.backend.create_db_snapshot(name, f"{name}-snapshot-{len(resource.backend.database_snapshots)}")
    _delete_resource(resources, resource, declared)


def _roll_back(stack: Any, verb: str, before: dict[str, Any], parameters: Any, error: _Failed) -> None:
    """Restores the previous template; of a new stack, nothing stays."""
    told = (error.resource, error.resource, error.kind, f"{verb}_FAILED", str(error), None)
    stack.events.append(models.Event(stack.stack_id, stack.name, *told))
    prefix = "UPDATE_" if before else ""
    try:
        if before:
            stack.resource_map.update(before, parameters)
        else:
            _set_policy(stack.resource_map, "RetainExceptOnCreate", "Delete")
            _tell_deletions(stack)
            stack.resource_map.delete()
            stack.template_dict = {}
            stack.resource_map = stack._create_resource_map()  # otherwise reading it would create everything again
        stack.status = f"{prefix}ROLLBACK_COMPLETE"
    except Exception as second:  # noqa: BLE001  # a protected database, for one
        stack.status = f"{prefix}ROLLBACK_FAILED"
        stack._add_stack_event(stack.status, resource_status_reason=f"{second}")
    else:
        stack._add_stack_event(stack.status)

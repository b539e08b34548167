"""The part of the template that `chalice deploy` needs and cannot create: network, database, queues, key and the rest.

It is selected from `.chalice/resources`, so both ways of deploying run on the same resources. What Chalice creates is
referred to by name, because it does not exist yet.
"""

import copy
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from deploy import template
from deploy.outputs import API, DATABASE_ID, SECURITY_GROUPS, SUBNETS, variable_output
from deploy.policies import COMPUTED

OF_CHALICE = ("functions.yaml", "gateway.yaml", "dashboard.yaml")
"""Files about what Chalice creates. What other files say about it is left out, too."""
API_HANDLER = "APIHandler"
_VARIABLE = re.compile(r"\$\{([\w:]+)[.\w]*\}")
_ROLE = "Role"


def infrastructure_template(stage: str) -> dict[str, Any]:
    whole = template.resources(stage)
    functions = _functions(whole)
    resources = {name: each for name, each in whole["Resources"].items() if name not in _names_in(OF_CHALICE)}
    resources["DataKey"] = _serving_roles_to_come(resources["DataKey"])
    resources = _without_dangling(_naming(functions, resources), whole)
    outputs = {name: each for name, each in whole["Outputs"].items() if _refers_within(each, resources, whole)}
    outputs |= dict(_outputs_for_chalice(whole, functions))
    return _with_what_they_use(whole, resources, outputs)


def references(part: Any) -> Iterator[str]:
    """The names that an expression refers to: parameters, resources, pseudo parameters."""
    match part:
        case {"Ref": str(name)}:
            yield name.partition(".")[0]
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from _VARIABLE.findall(text)
        case {"Fn::Sub": [str(text), dict(given)]}:
            yield from (name for name in _VARIABLE.findall(text) if name not in given)
            yield from references(list(given.values()))
        case dict():
            yield from references(list(part.values()))
        case list():
            for each in part:
                yield from references(each)


def conditions(part: Any) -> Iterator[str]:
    """The names of the conditions that a part depends on."""
    match part:
        case {"Fn::If": [str(name), *rest]}:
            yield name
            yield from conditions(rest)
        case dict():
            if isinstance(own := part.get("Condition"), str):
                yield own
            yield from conditions(list(part.values()))
        case list():
            for each in part:
                yield from conditions(each)


def _functions(whole: dict[str, Any]) -> dict[str, Any]:
    """The properties of Chalice's functions, by logical id; they are only completed, and so have no type here."""
    common = whole.get("Globals", {}).get("Function", {})
    named = {name: each["Properties"] for name, each in whole["Resources"].items() if "Type" not in each}
    return {name: {**common, **own} for name, own in named.items() if "FunctionName" in own}


def _names_in(files: Iterable[str]) -> set[str]:
    return {name for file in files for name in template.read(template.FOLDER / file)["Resources"]}


def _naming(functions: dict[str, Any], part: Any) -> Any:
    """The same, with the names of functions in place of references to them."""
    match part:
        case {"Ref": str(name)} if name in functions:
            return functions[name]["FunctionName"]
        case dict():
            return {key: _naming(functions, value) for key, value in part.items()}
        case list():
            return [_naming(functions, value) for value in part]
    return part


def _without_dangling(resources: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Without those that refer to something that is left out, until none is left."""
    kept = {name: each for name, each in resources.items() if _refers_within(each, resources, whole)}
    return kept if len(kept) == len(resources) else _without_dangling(kept, whole)


def _refers_within(part: Any, resources: dict[str, Any], whole: dict[str, Any]) -> bool:
    known = resources.keys() | whole["Parameters"].keys()
    return all(name in known or name.startswith("AWS::") for name in references(part))


def _serving_roles_to_come(key: dict[str, Any]) -> dict[str, Any]:
    """KMS refuses a policy that names a role which does not exist, so the roles are recognized by their ARNs.

    The account's principals need an allowing policy of their own as well, which nobody but these roles should have.
    """
    key = copy.deepcopy(key)
    policy = key["Properties"]["KeyPolicy"]
    for statement in policy["Statement"]:
        principal = statement["Principal"]
        roles = [name.removesuffix(_ROLE) for name in references(principal) if name.endswith(_ROLE)]
        if roles:
            statement["Principal"] = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
            arns = [{"Fn::Sub": arn} for role in roles for arn in _role_arns(role)]
            statement["Condition"] = {**statement["Condition"], "ArnLike": {"aws:PrincipalArn": arns}}
    return key


def _role_arns(role: str) -> Iterator[str]:
    """As `chalice deploy` names a function's role, and as CloudFormation does in a stack of `chalice package`."""
    chalice = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", role).lower()
    for name in (chalice, f"{role}{_ROLE}-*"):
        yield f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/ansel-${{Stage}}-{name}"


def _outputs_for_chalice(whole: dict[str, Any], functions: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the template gives to Chalice's functions."""
    common = functions[API_HANDLER]
    yield DATABASE_ID, _output("The database or RDS Proxy that rds-db:connect is granted on", COMPUTED[DATABASE_ID])
    for name in (SUBNETS, SECURITY_GROUPS):
        yield name, _output("Of the functions", {"Fn::Join": [",", common["VpcConfig"][name]]})
    settings = common["Environment"]["Variables"]
    for function, properties in functions.items():
        own = properties["Environment"]["Variables"]
        name = API if function == API_HANDLER else function.lower()
        for variable, value in own.items():
            is_common = name != API and value == settings.get(variable)
            if not is_common and _is_of_the_stack(value, whole):
                yield variable_output(name, variable), _output(f"{variable} of {name}", value)


def _is_of_the_stack(value: Any, whole: dict[str, Any]) -> bool:
    """Literal, or derived from a resource. Other variables are the operator's choice, and have defaults."""
    names = set(references(value))
    return not names or bool(names & whole["Resources"].keys())


def _output(description: str, value: Any) -> dict[str, Any]:
    return {"Description": description, "Value": value}


def _with_what_they_use(whole: dict[str, Any], resources: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    used = _closed(whole["Conditions"], set(conditions([resources, outputs])))
    sections = {"Conditions": {name: whole["Conditions"][name] for name in whole["Conditions"] if name in used}}
    named = {"Stage", *references([resources, outputs, sections])}
    parameters = {name: each for name, each in whole["Parameters"].items() if name in named}
    rules = {name: each for name, each in whole["Rules"].items() if set(references(each)) <= parameters.keys()}
    document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "What the functions of `chalice deploy` run on",
        "Parameters": parameters,
        "Rules": rules,
        **sections,
        "Resources": resources,
        "Outputs": outputs,
    }
    copied: dict[str, Any] = json.loads(json.dumps(document))
    return copied


def _closed(declared: dict[str, Any], names: set[str]) -> set[str]:
    """With the conditions that these conditions are made of."""
    more = names | {name for each in names for name in conditions(declared[each])}
    return names if more == names else _closed(declared, more)

"""A template for chosen parameters: what it would create, as far as that follows from the parameters alone."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

ABSENT = object()
"""The value of AWS::NoValue"""


def wrong_values(parameters: Mapping[str, Any], known: Collection[str], given: Mapping[str, str]) -> Iterator[str]:
    """What CloudFormation would not accept: of the parameters, `known` have a value already."""
    if foreign := sorted(set(given) - set(parameters)):
        yield f"the template has no parameter {', '.join(foreign)}; it has {', '.join(sorted(parameters))}"
    for name, parameter in parameters.items():
        if name in given:
            yield from _unacceptable(name, parameter, given[name])
        elif name not in known and "Default" not in parameter:
            yield f"parameter {name} needs a value: {parameter.get('Description', 'see the template')}"


def _unacceptable(name: str, parameter: Mapping[str, Any], value: str) -> Iterator[str]:
    allowed = [str(each) for each in parameter.get("AllowedValues", [])]
    if allowed and value not in allowed:
        yield f"{name}={value}: it may be {', '.join(allowed)}"
    if not re.fullmatch(parameter.get("AllowedPattern", "(?s:.*)"), value):
        yield f"{name}={value}: {parameter.get('ConstraintDescription') or parameter.get('Description', '')}"


class Choices:
    """A template with the values that its parameters would have."""

    def __init__(self, template: Mapping[str, Any], *chosen: Mapping[str, str]) -> None:
        """Of several sets of values, a later one wins; what none of them names has its default."""
        self._template = template
        declared: dict[str, Any] = template.get("Parameters", {})
        self.values = {name: str(parameter.get("Default", "")) for name, parameter in declared.items()}
        for values in chosen:
            self.values |= {name: value for name, value in values.items() if name in declared}

    def list_resources(self, *kinds: str) -> dict[str, dict[str, Any]]:
        """The properties of the resources of these types that would be created, by logical id."""
        return {
            name: self.resolve(resource.get("Properties", {}))
            for name, resource in self._template["Resources"].items()
            if resource["Type"] in kinds and self._holds(resource.get("Condition"))
        }

    def broken_rules(self) -> list[str]:
        return [
            assertion["AssertDescription"]
            for rule in self._template.get("Rules", {}).values()
            if self.resolve(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolve(self._template["Conditions"][condition]))

    def resolve(self, part: Any) -> Any:
        """The same with parameters and conditions resolved; what depends on other resources stays as it is."""
        match part:
            case {"Ref": "AWS::NoValue"}:
                return ABSENT
            case {"Ref": str(name)} if name in self.values:
                return self.values[name]
            case {"Condition": str(name)} if len(part) == 1:
                return self._holds(name)
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self._holds(condition) else otherwise)
            case {"Fn::Equals": [left, right]}:
                return str(self.resolve(left)) == str(self.resolve(right))
            case {"Fn::Not": [condition]}:
                return not self.resolve(condition)
            case {"Fn::And": list(conditions)}:
                return all(self.resolve(condition) for condition in conditions)
            case {"Fn::Or": list(conditions)}:
                return any(self.resolve(condition) for condition in conditions)
            case {"Fn::Split": [separator, text]} if isinstance(whole := self.resolve(text), str):
                return whole.split(separator)
            case dict():
                pairs = ((key, self.resolve(value)) for key, value in part.items())
                return {key: value for key, value in pairs if value is not ABSENT}
            case list():
                return [value for item in part if (value := self.resolve(item)) is not ABSENT]
        return part

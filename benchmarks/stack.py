"""What the template creates with given parameters, for the bill: its resources, and the properties that cost money."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from deploy import template


class Stack:
    """A stage's template with its default parameters, except those given."""

    def __init__(self, stage: str, parameters: Mapping[str, str] | None = None):
        document = template.resources(stage)
        unknown = (parameters or {}).keys() - document["Parameters"].keys()
        if unknown:
            raise ValueError(f"The template has no parameter {', '.join(sorted(unknown))}")
        defaults = {name: str(each["Default"]) for name, each in document["Parameters"].items()}
        self.parameters = {**defaults, **(parameters or {})}
        self._conditions = document["Conditions"]
        self._declared = document["Resources"]

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """Those whose condition holds."""
        declared = self._declared.values()
        return [
            each for each in declared if "Condition" not in each or self._holds(self._conditions[each["Condition"]])
        ]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The properties of each resource of this type."""
        return [each["Properties"] for each in self.resources if each.get("Type") == kind]

    def count(self, kind: str) -> int:
        return len(self.of_type(kind))

    def value(self, expression: Any) -> Any:
        """References to parameters and `Fn::If` resolved; everything else as it is written."""
        match expression:
            case {"Ref": str(name)} if name in self.parameters:
                return self.parameters[name]
            case {"Fn::If": [name, then, otherwise]}:
                return self.value(then if self._holds(self._conditions[name]) else otherwise)
            case _:
                return expression

    def _holds(self, condition: Any) -> bool:
        match condition:
            case {"Fn::Equals": [left, right]}:
                return str(self.value(left)) == str(self.value(right))
            case {"Fn::Not": [part]}:
                return not self._holds(part)
            case {"Fn::And": parts}:
                return all(self._holds(part) for part in parts)
            case {"Fn::Or": parts}:
                return any(self._holds(part) for part in parts)
            case {"Condition": name}:
                return self._holds(self._conditions[name])
            case _:
                raise ValueError(f"A condition that is not understood: {condition}")

    @property
    def database_class(self) -> str:
        return str(self.value(self._database["DBInstanceClass"]))

    @property
    def database_instances(self) -> int:
        """The primary, and a standby if there is one."""
        return 2 if self.value(self._database["MultiAZ"]) == "true" else 1

    @property
    def allocated_gb(self) -> float:
        """Of each instance"""
        return float(self.value(self._database["AllocatedStorage"]))

    @property
    def endpoint_interfaces(self) -> int:
        """Interface endpoints are billed for each subnet they are in."""
        return sum(len(self.value(each["SubnetIds"])) for each in self.of_type("AWS::EC2::VPCEndpoint"))

    @property
    def alarm_metrics(self) -> int:
        """Alarms are billed by the metrics they watch; an alarm without `Metrics` names a single one."""
        alarms = self.of_type("AWS::CloudWatch::Alarm")
        lists = [each["Metrics"] for each in alarms if "Metrics" in each]
        return len(alarms) - len(lists) + sum("MetricStat" in metric for metrics in lists for metric in metrics)

    @property
    def owner_secrets(self) -> int:
        """The owner's password, which RDS keeps in a secret that the template does not declare"""
        return int(self._database["ManageMasterUserPassword"])

    @property
    def _database(self) -> dict[str, Any]:
        """Aurora's price depends on its load, so a bill for it is not computed."""
        (database,) = self.of_type("AWS::RDS::DBInstance")
        return database

"""CloudFormation's intrinsic functions, as far as the template uses them, to resolve it for given parameters."""

import re
from graphlib import TopologicalSorter
from ipaddress import ip_network
from typing import Any

ABSENT = object()
"""The value of AWS::NoValue"""
REGION, ACCOUNT = "eu-central-1", "123456789012"
PSEUDO: dict[str, Any] = {
    "AWS::AccountId": ACCOUNT,
    "AWS::NoValue": ABSENT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "ansel",
    "AWS::URLSuffix": "amazonaws.com",
}
ARNS = {
    "AWS::KMS::Key": "arn:aws:kms:{region}:{account}:key/{name}",
    "AWS::RDS::DBProxy": "arn:aws:rds:{region}:{account}:db-proxy:{name}",
}


class Account:
    """A template with given parameters, in an account where every resource is named by its logical id."""

    def __init__(self, document: dict[str, Any], choice: dict[str, str] | None = None) -> None:
        self._document = document
        self._values = {
            name: self._typed(parameter, (choice or {}).get(name, parameter.get("Default")))
            for name, parameter in document["Parameters"].items()
        }
        self._met: set[str] = set()
        unknown = set(choice or {}) - self._values.keys()
        assert not unknown, f"no such parameters: {unknown}"

    @staticmethod
    def _typed(parameter: Any, value: Any) -> Any:
        return str(value).split(",") if parameter["Type"] == "CommaDelimitedList" else value

    def value(self, *path: str) -> Any:
        part: Any = self._document
        for name in path:
            part = part[name]
        return self.resolve(part)

    def broken_rules(self) -> list[str]:
        return [
            assertion["AssertDescription"]
            for rule in self._document["Rules"].values()
            if self.resolve(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def dangling(self) -> list[str]:
        """References from created resources to ones that are not created."""
        live = self._live()
        outputs = {
            f"output {name}": output
            for name, output in self._document["Outputs"].items()
            if self._holds(output.get("Condition"))
        }
        parts = {name: self._document["Resources"][name] for name in live} | outputs
        return [f"{name} -> {target}" for name, part in parts.items() for target in self._needs(part) - live]

    def needs(self, name: str) -> set[str]:
        """The resources that a resource refers to."""
        return self._needs(self._document["Resources"][name])

    def in_order(self) -> list[str]:
        """The created resources in order of their dependencies. Raises CycleError."""
        live = self._live()
        graph = {}
        for name in live:
            made = self._document["Resources"][name]
            after = made.get("DependsOn", [])
            graph[name] = (self._needs(made) | set([after] if isinstance(after, str) else after)) & live
        return list(TopologicalSorter(graph).static_order())

    def _live(self) -> set[str]:
        return {name for name, made in self._document["Resources"].items() if self._holds(made.get("Condition"))}

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self.resolve(self._document["Conditions"][condition]))

    def _needs(self, part: Any) -> set[str]:
        self._met = set()
        self.resolve(part.get("Properties", part.get("Value")))
        return self._met

    def resolve(self, part: Any) -> Any:
        if isinstance(part, list):
            resolved = (self.resolve(value) for value in part)
            return [value for value in resolved if value is not ABSENT]
        if not isinstance(part, dict):
            return part
        if len(part) == 1:
            ((name, argument),) = part.items()
            if name in ("Ref", "Condition") or name.startswith("Fn::"):
                function = getattr(self, "_" + name.removeprefix("Fn::").lower())
                return function(argument)
        pairs = ((name, self.resolve(value)) for name, value in part.items())
        return {name: value for name, value in pairs if value is not ABSENT}

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._values:
            return self._values[name]
        if name.endswith(".Stage"):
            name = name.replace(".Stage", "v1Stage")
        self._met.add(name)
        kind = self._document["Resources"].get(name, {}).get("Type")
        if kind == "AWS::SecretsManager::Secret":
            return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"
        return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}" if kind == "AWS::SQS::Queue" else name

    def _getatt(self, path: list[str]) -> str:
        name, attribute = path
        self._met.add(name)
        kind = self._document["Resources"].get(name, {}).get("Type", "")
        if attribute == "MasterUserSecret.SecretArn":
            return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"
        if attribute.endswith("Arn"):
            pattern = ARNS.get(kind, "arn:aws:made:{region}:{account}:{name}")
            return pattern.format(region=REGION, account=ACCOUNT, name=name)
        return f"{name}.{attribute}"

    def _sub(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            if name in given:
                return str(self.resolve(given[name]))
            return str(self._getatt(name.split(".", 1)) if "." in name else self._ref(name))

        return re.sub(r"\$\{([\w.:]+)\}", fill, text)

    def _if(self, argument: Any) -> Any:
        condition, then, otherwise = argument
        return self.resolve(then if self._holds(condition) else otherwise)

    def _condition(self, name: str) -> bool:
        return self._holds(name)

    def _equals(self, argument: Any) -> bool:
        left, right = self.resolve(argument)
        return str(left) == str(right)

    def _contains(self, argument: Any) -> bool:
        values, value = self.resolve(argument)
        return value in values

    def _not(self, argument: Any) -> bool:
        return not self.resolve(argument)[0]

    def _and(self, argument: Any) -> bool:
        return all(self.resolve(argument))

    def _select(self, argument: Any) -> Any:
        index, values = self.resolve(argument)
        return values[int(index)]

    def _split(self, argument: Any) -> Any:
        separator, text = self.resolve(argument)
        return text.split(separator)

    def _join(self, argument: Any) -> str:
        separator, values = self.resolve(argument)
        return str(separator).join(values)

    def _getazs(self, region: str) -> list[str]:
        return [f"{REGION}{zone}" for zone in "abc"]

    def _cidr(self, argument: Any) -> list[str]:
        block, count, bits = self.resolve(argument)
        subnets = list(ip_network(block).subnets(new_prefix=32 - int(bits)))
        return [str(subnet) for subnet in subnets[: int(count)]]

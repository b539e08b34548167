"""The outputs of the infrastructure's stack that become a stage's settings in `.chalice/config.json`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

DATABASE_ID, SUBNETS, SECURITY_GROUPS = "DatabaseId", "SubnetIds", "SecurityGroupIds"
API = "api"
"""The function whose settings are the stage's own; each other function has only what differs from them."""


def variable_output(function: str, variable: str) -> str:
    """The output with a variable of a function: names of outputs are alphanumeric."""
    return f"Variable{function.title()}{variable.title().replace('_', '')}"


def read_variable_output(output: str) -> tuple[str, str] | None:
    """Function and variable, as `variable_output` takes them; None for another output."""
    words = re.findall(r"[A-Z][a-z0-9]*", output)
    return (words[1].lower(), "_".join(words[2:]).upper()) if words[0] == "Variable" else None


def apply(of_stage: dict[str, Any], outputs: Mapping[str, str]) -> list[str]:
    """Puts the outputs into a stage's settings and keeps all others. Returns the names of those that changed."""
    changed = [
        name
        for name, output in (("subnet_ids", SUBNETS), ("security_group_ids", SECURITY_GROUPS))
        if _put(of_stage, name, outputs[output].split(","))
    ]
    for function, variable, value in _variables(outputs):
        settings = of_stage if function == API else of_stage["lambda_functions"].setdefault(function, {})
        if _put(settings.setdefault("environment_variables", {}), variable, value):
            changed.append(variable if function == API else f"{variable} of {function}")
    return changed


def _variables(outputs: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, value in outputs.items():
        if found := read_variable_output(name):
            yield *found, value


def _put(settings: dict[str, Any], name: str, value: object) -> bool:
    is_new = settings.get(name) != value
    settings[name] = value
    return is_new

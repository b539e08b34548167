"""The schemas of the OpenAPI document: plain names, named enumerations, and a description of every field."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import msgspec

from chalicelib.api.openapi_fields import as_line, constant_description, field_descriptions, structs_in
from chalicelib.data import connections, events, webhook_endpoints
from chalicelib.data.sync import accounts, runs, schedules, stream_status
from chalicelib.platforms.registry import NAMES
from chalicelib.runtime.paging import Listing
from chalicelib.services import explain, metrics

Schema = dict[str, Any]

REF = "#/components/schemas/{name}"
ENUMS: Mapping[str, tuple[Any, str]] = {
    "AccountRule": (accounts, "Rule"),
    "AccountStreamState": (accounts, "StreamOfAccountState"),
    "Action": (explain, "Action"),
    "ConnectionHealth": (connections, "Health"),
    "ConnectionStatus": (connections, "ConnectionStatus"),
    "DeliveryState": (webhook_endpoints, "DeliveryState"),
    "EventKind": (events, "EventKind"),
    "Interval": (metrics, "Interval"),
    "PausedBy": (schedules, "Pauser"),
    "RunStatus": (runs, "RunStatus"),
    "RunTrigger": (runs, "Trigger"),
    "StreamState": (stream_status, "StreamState"),
    "WebhookEndpointState": (webhook_endpoints, "EndpointState"),
}
"""Enumerations that are components of their own, so that a client has one type for each: where each is declared."""


def schemas_of(types: Sequence[Any], responses: Sequence[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each type, and the components they refer to. `responses` are those that the API answers with.

    A page of a list is named after its items.
    """
    made = msgspec.json.encode(msgspec.json.schema_components(types, ref_template=REF)).decode()
    renamed = re.sub(r'"Listing\[(\w+)\]"', r'"\1List"', re.sub(r'Listing_(\w+)_"', r'\1List"', made))
    schemas, components = _with_named_enums(msgspec.json.decode(renamed), dict(_named_values()))
    structs = {kind.__name__: kind for kind in structs_in(types)}
    answered = structs_in(responses)
    for name, component in components.items():
        kind = structs.get(name, Listing)
        _describe(component, field_descriptions(kind))
        if kind in answered:
            _require_all(component)
    refs = msgspec.json.encode([schemas, components]).decode()
    return schemas, components | {name: enum for name, enum in _enum_components() if f'/{name}"' in refs}


def _describe(component: Schema, descriptions: Mapping[str, str]) -> None:
    component["description"] = as_line(component.get("description", ""))
    for name, schema in component["properties"].items():
        if name in descriptions:
            schema["description"] = descriptions[name]


def _require_all(component: Schema) -> None:
    """A response has every field, those with a default too."""
    component["required"] = [*component["properties"]]
    for schema in component["properties"].values():
        schema.pop("default", None)


def _named_values() -> Iterator[tuple[tuple[str, ...], str]]:
    yield tuple(sorted(NAMES)), "Platform"
    for name, (module, constant) in ENUMS.items():
        yield tuple(sorted(get_args(getattr(module, constant)))), name


def _enum_components() -> Iterator[tuple[str, Schema]]:
    named = {name: constant_description(module.__name__, constant) for name, (module, constant) in ENUMS.items()}
    described = {"Platform": "A platform that can be connected.", **named}
    for values, name in _named_values():
        yield name, {"title": name, "description": described[name], "type": "string", "enum": [*values]}


def _with_named_enums(node: Any, names: Mapping[tuple[str, ...], str]) -> Any:
    if isinstance(node, list):
        return [_with_named_enums(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    name = names.get(tuple(sorted(node["enum"]))) if isinstance(node.get("enum"), list) else None
    if name is None:
        return {key: _with_named_enums(value, names) for key, value in node.items()}
    return {
        **{key: value for key, value in node.items() if key in ("description", "default")},
        "$ref": REF.format(name=name),
    }

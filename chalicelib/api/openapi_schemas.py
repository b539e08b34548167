"""The schemas of the OpenAPI document: plain names, named enumerations, and a description of every field."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import msgspec

from chalicelib.api.openapi_fields import Struct, as_line, constant_description, field_descriptions, structs_in
from chalicelib.platforms.registry import NAMES
from chalicelib.runtime.paging import Listing

Schema = dict[str, Any]

REF = "#/components/schemas/{name}"


def schemas_of(types: Sequence[Any], responses: Sequence[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each type, and the components they refer to. `responses` are those that the API answers with.

    A page of a list is named after its items.
    """
    made = msgspec.json.encode(msgspec.json.schema_components(types, ref_template=REF)).decode()
    renamed = re.sub(r'"Listing\[(\w+)\]"', r'"\1List"', re.sub(r'Listing_(\w+)_"', r'\1List"', made))
    structs = {kind.__name__: kind for kind in structs_in(types)}
    enums = _enums_of(structs.values())
    names = {tuple(enum["enum"]): name for name, enum in enums.items()}
    schemas, components = _with_named_enums(msgspec.json.decode(renamed), names)
    answered = structs_in(responses)
    for name, component in components.items():
        kind = structs.get(name, Listing)
        _describe(component, field_descriptions(kind))
        if kind in answered:
            _require_all(component)
    refs = msgspec.json.encode([schemas, components]).decode()
    return schemas, components | {name: enum for name, enum in enums.items() if f'/{name}"' in refs}


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


def _enums_of(structs: Iterable[Struct]) -> dict[str, Schema]:
    """The enumerations that the structs' modules name, as components, so that a client has one type for each.

    A name stands for the same values wherever it is imported; its description is the string under it.
    """
    enums = {"Platform": ("A platform that can be connected.", NAMES)}
    for module in {base.__module__ for kind in structs for base in kind.__mro__}:
        for name, value in vars(sys.modules[module]).items():
            described = constant_description(module, name) if get_origin(value) is Literal else None
            if described is not None:
                enums[name] = (described, get_args(value))
    return {
        name: {"title": name, "description": description, "type": "string", "enum": sorted(values)}
        for name, (description, values) in sorted(enums.items())
    }


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

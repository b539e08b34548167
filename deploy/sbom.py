"""The bill of materials of a package, in CycloneDX 1.6: the contents of the zip, identical for every build."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.licences import licence
from deploy.wheels import Target, Wheel

_INNER_FIELDS = ("type", "name", "version", "purl", "licenses", "hashes")
"""Fields kept of components in a wheel's own bill; its references contain paths of the machine that built it."""


def _metadata(wheel: Wheel) -> Message:
    with wheel.open() as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(archive.read(name), headersonly=True)


def _inside(wheel: Wheel) -> list[dict[str, Any]]:
    """Components that a wheel declares to contain (PEP 770): for cryptography its Rust crates and OpenSSL."""
    found = []
    with wheel.open() as archive:
        for name in sorted(archive.namelist()):
            if ".dist-info/sboms/" in name and name.endswith(".json"):
                for component in json.loads(archive.read(name)).get("components", []):
                    found.append({field: component[field] for field in _INNER_FIELDS if field in component})
    return found


def _component(wheel: Wheel) -> dict[str, Any]:
    purl = f"pkg:pypi/{wheel.pin.name}@{wheel.pin.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": wheel.pin.name,
        "version": wheel.pin.version,
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "licenses": [{"expression": licence(_metadata(wheel))}],
        "purl": purl,
        "properties": [{"name": "ansel:wheel", "value": wheel.path.name}],
    }
    if inside := _inside(wheel):
        component["components"] = inside
    return component


def _needs(wheel: Wheel, target: Target) -> Iterator[str]:
    environment = {"python_version": target.python, "python_full_version": f"{target.python}.0", "extra": ""}
    environment |= {"platform_python_implementation": "CPython", "sys_platform": "linux", "platform_system": "Linux"}
    for line in _metadata(wheel).get_all("Requires-Dist", []):
        requirement = Requirement(str(line))
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield canonicalize_name(requirement.name)


def _certificates(archive: Path) -> list[dict[str, Any]]:
    """Files in the zip that are neither ours nor from a wheel."""
    with ZipFile(archive) as zipped:
        return [
            {
                "type": "data",
                "bom-ref": name,
                "name": name,
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(zipped.read(name)).hexdigest()}],
            }
            for name in zipped.namelist()
            if name.startswith("certificates/")
        ]


def bill(packed: Sequence[Wheel], archive: Path, target: Target) -> dict[str, Any]:
    """Its serial number is derived from the zip's hash. A time would differ for each build, so there is none."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    components = [_component(wheel) for wheel in packed]
    references = {wheel.pin.name: component["bom-ref"] for wheel, component in zip(packed, components, strict=True)}
    application = {
        "type": "application",
        "bom-ref": "ansel",
        "name": "ansel",
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "properties": [
            {"name": "ansel:architecture", "value": target.architecture},
            {"name": "ansel:python", "value": target.python},
        ],
    }
    dependencies = [{"ref": "ansel", "dependsOn": sorted(references.values())}]
    for wheel in packed:
        needed = sorted({references[name] for name in _needs(wheel, target) if name in references})
        dependencies.append({"ref": references[wheel.pin.name], "dependsOn": needed})
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'urn:ansel:package:{digest}')}",
        "version": 1,
        "metadata": {"component": application},
        "components": components + _certificates(archive),
        "dependencies": dependencies,
    }

"""Releases in a bucket: a zip of code and the template that names it, each under the SHA-256 of its bytes.

A release's id is the hash of its template, which names the hash of the code. So one id identifies every byte that is
deployed, and an earlier release can be deployed again.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml

from deploy import storage
from deploy.bundle import TASK_ROOT
from deploy.cloud import DeployError
from deploy.contents import CERTIFICATES
from deploy.storage import Bucket

FUNCTION = "AWS::Serverless::Function"
PARAMETER = "Release"
"""The template's parameter for the id, which the template cannot contain itself. The stack's output repeats it."""
_CODE_KEY = re.compile(r"code/(?P<sha256>[0-9a-f]{64})\.zip")
_TEMPLATE_KEY = re.compile(r"releases/[^/]+/(?P<id>[0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Code:
    """What a function runs: an object in the bucket, and the Python version that it was built for."""

    bucket: Bucket
    key: str
    runtime: str
    architecture: str
    version: str | None = None
    """The object's version, once its content was compared with its hash"""

    @property
    def sha256(self) -> str | None:
        """None for a stack that was deployed without this program."""
        return _hash_in(self.key)


@dataclass(frozen=True)
class Package:
    """A release that is not stored yet."""

    template: dict[str, Any]
    content: bytes
    """The zip"""
    lacks_certificates: bool
    """The template names RDS's certificate authorities, without which no migration can connect"""


@dataclass(frozen=True)
class Release:
    id: str
    bucket: Bucket
    template_url: str
    template: dict[str, Any]
    code_key: str
    code_sha256: str
    code_version: str | None

    @property
    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = self.template.get("Parameters", {})
        return found

    @property
    def functions(self) -> dict[str, Any]:
        """Properties by logical id."""
        return _functions(self.template)

    def code(self, logical_id: str) -> Code:
        properties = self.functions[logical_id]
        architecture = properties.get("Architectures", ["x86_64"])[0]
        return Code(self.bucket, self.code_key, properties["Runtime"], architecture, self.code_version)


def read_package(folder: Path, stage: str) -> Package:
    """What `python -m deploy.package` wrote. Raises DeployError for a package of another stage, or none."""
    archive, template = folder / "deployment.zip", folder / "template.yaml"
    if not (archive.exists() and template.exists()):
        raise DeployError(f"there is no package in {folder}: run `make package STAGE={stage}` first")
    document = yaml.safe_load(template.read_text(encoding="utf-8"))
    stages = document.get("Parameters", {}).get("Stage", {}).get("AllowedValues", [stage])
    if stage not in stages:
        raise DeployError(f"{folder} was packaged for {', '.join(stages)}, not for {stage}")
    with ZipFile(archive) as zipped:
        names = zipped.namelist()
    lacks = f"{TASK_ROOT}/{CERTIFICATES}" in json.dumps(document) and CERTIFICATES not in names
    return Package(document, archive.read_bytes(), lacks_certificates=lacks)


def store_release(bucket: Bucket, stage: str, package: Package) -> Release:
    """Uploads a package; an identical object that already exists stays."""
    code_key = f"code/{storage.hash_of(package.content)}.zip"
    body = json.dumps(_as_released(package.template, bucket, code_key), indent=1, sort_keys=True).encode()
    release_id = storage.hash_of(body)
    storage.put_once(bucket, code_key, package.content)
    storage.put_once(bucket, _template_key(stage, release_id), body)
    return _read(bucket, stage, release_id)


def store_template(bucket: Bucket, stage: str, template: dict[str, Any]) -> Release:
    """A template of no functions: a release without code."""
    body = json.dumps(_as_released(template, bucket, ""), indent=1, sort_keys=True).encode()
    release_id = storage.hash_of(body)
    key = _template_key(stage, release_id)
    storage.put_once(bucket, key, body)
    stored = storage.read(bucket, key, release_id)
    return Release(release_id, bucket, bucket.url(key, stored.version), json.loads(stored.content), "", "", None)


def get_release(bucket: Bucket, stage: str, prefix: str) -> Release:
    """An earlier release, by its id or a unique prefix of it."""
    found = [release_id for release_id, _ in list_releases(bucket, stage) if release_id.startswith(prefix)]
    listed = "see `python -m deploy.stack releases`"
    if not found:
        raise DeployError(f"release {prefix} of {stage} does not exist: {listed}")
    if len(found) > 1:
        raise DeployError(
            f"release {prefix} of {stage} is ambiguous, it could be {' or '.join(sorted(found))}: {listed}"
        )
    return _read(bucket, stage, found[0])


def pinned(code: Code) -> Code:
    """The same code, with the version of the object that was compared with its hash. Raises DeployError."""
    return replace(code, version=storage.read(code.bucket, code.key, code.sha256).version) if code.sha256 else code


def list_releases(bucket: Bucket, stage: str) -> list[tuple[str, str]]:
    """Ids with the time each was first stored, newest first. Objects that are not named like a release are ignored."""
    pages = bucket.storage.get_paginator("list_objects_v2").paginate(**bucket.place, Prefix=f"releases/{stage}/")
    stored = [entry for page in pages for entry in page.get("Contents", [])]
    stored.sort(key=lambda entry: entry["LastModified"], reverse=True)
    named = ((_TEMPLATE_KEY.fullmatch(entry["Key"]), entry["LastModified"]) for entry in stored)
    return [(match["id"], at.isoformat(sep=" ", timespec="seconds")) for match, at in named if match]


def _as_released(template: dict[str, Any], bucket: Bucket, code_key: str) -> dict[str, Any]:
    for properties in _functions(template).values():
        properties["CodeUri"] = {"Bucket": bucket.name, "Key": code_key}
    template.setdefault("Parameters", {})[PARAMETER] = {"Type": "String", "Description": "Set by the deployment"}
    template.setdefault("Outputs", {})[PARAMETER] = {
        "Description": "The deployed release, as `python -m deploy.stack releases` lists it",
        "Value": {"Ref": PARAMETER},
    }
    return template


def _functions(template: dict[str, Any]) -> dict[str, Any]:
    resources = template["Resources"].items()
    return {name: resource["Properties"] for name, resource in resources if resource["Type"] == FUNCTION}


def _template_key(stage: str, release_id: str) -> str:
    return f"releases/{stage}/{release_id}.json"


def _read(bucket: Bucket, stage: str, release_id: str) -> Release:
    """The stored template and code, each compared with its hash."""
    key = _template_key(stage, release_id)
    stored = storage.read(bucket, key, release_id)
    try:
        template = json.loads(stored.content)
        (place,) = {(uri["Bucket"], uri["Key"]) for uri in (each["CodeUri"] for each in _functions(template).values())}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeployError(f"{key} in bucket {bucket.name} is not the template of a release") from error
    code_key, sha256 = place[1], _hash_in(place[1])
    if place[0] != bucket.name or sha256 is None:
        raise DeployError(
            f"release {release_id} takes its code from {'/'.join(place)}, which is not a hash in this bucket"
        )
    code = storage.read(bucket, code_key, sha256)
    return Release(release_id, bucket, bucket.url(key, stored.version), template, code_key, sha256, code.version)


def _hash_in(key: str) -> str | None:
    match = _CODE_KEY.fullmatch(key)
    return match["sha256"] if match else None

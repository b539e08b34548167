"""Releases in a bucket: the code under the hash of its zip, the template that names it under a hash of its own.

A release is what its name says, so one that was deployed before can be deployed again, byte for byte.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml
from botocore.exceptions import ClientError

from deploy.bundle import TASK_ROOT
from deploy.cloud import Cloud, DeployError
from deploy.contents import CERTIFICATES

FUNCTION = "AWS::Serverless::Function"
ID_LENGTH = 16


@dataclass(frozen=True)
class Code:
    """What a function runs: an object of the bucket, and the Python that it was built for."""

    bucket: str
    key: str
    runtime: str
    architecture: str


@dataclass(frozen=True)
class Release:
    id: str
    template_url: str
    template: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = self.template.get("Parameters", {})
        return found

    def code(self, logical_id: str) -> Code:
        properties = self.template["Resources"][logical_id]["Properties"]
        place = properties["CodeUri"]
        architecture = properties.get("Architectures", ["x86_64"])[0]
        return Code(place["Bucket"], place["Key"], properties["Runtime"], architecture)


def store_release(cloud: Cloud, bucket: str, stage: str, package: Path) -> Release:
    """Uploads a package, as `python -m deploy.package` leaves it; what is there already stays."""
    archive, template = package / "deployment.zip", package / "template.yaml"
    if not (archive.exists() and template.exists()):
        raise DeployError(f"there is no package in {package}: run `make package STAGE={stage}` first")
    content, document = archive.read_bytes(), yaml.safe_load(template.read_text(encoding="utf-8"))
    _ensure_deployable(document, archive, stage)
    code_key = f"code/{hashlib.sha256(content).hexdigest()}.zip"
    document = _with_code(document, bucket, code_key)
    release_id = _hash(document)
    document.setdefault("Outputs", {})["Release"] = {
        "Description": "The release that is deployed, as `python -m deploy.stack releases` lists it",
        "Value": release_id,
    }
    _upload(cloud, bucket, code_key, content)
    _upload(cloud, bucket, _template_key(stage, release_id), json.dumps(document, indent=1).encode())
    return _release(cloud, bucket, stage, release_id, document)


def _ensure_deployable(template: dict[str, Any], archive: Path, stage: str) -> None:
    """What would else be noticed when the database has been made, or not at all."""
    stages = template.get("Parameters", {}).get("Stage", {}).get("AllowedValues", [stage])
    if stage not in stages:
        raise DeployError(f"{archive.parent} was packaged for {', '.join(stages)}, not for {stage}")
    with ZipFile(archive) as zipped:
        names = zipped.namelist()
    if f"{TASK_ROOT}/{CERTIFICATES}" in json.dumps(template) and CERTIFICATES not in names:
        raise DeployError(
            "the package has no certificates of RDS, without which nothing can migrate: run "
            f"`make certificates`, and then `make package STAGE={stage}` again"
        )


def get_release(cloud: Cloud, bucket: str, stage: str, prefix: str) -> Release:
    """One that was stored before, by the beginning of its id."""
    found = [release_id for release_id, _ in list_releases(cloud, bucket, stage) if release_id.startswith(prefix)]
    if len(found) != 1:
        problem = "is not unique" if found else "is not there"
        raise DeployError(f"release {prefix} of {stage} {problem}: see `python -m deploy.stack releases`")
    stored = cloud.storage.get_object(Bucket=bucket, Key=_template_key(stage, found[0]))["Body"].read()
    return _release(cloud, bucket, stage, found[0], json.loads(stored))


def list_releases(cloud: Cloud, bucket: str, stage: str) -> list[tuple[str, str]]:
    """Ids, each with when it was first stored, newest first."""
    pages = cloud.storage.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"releases/{stage}/")
    stored = [entry for page in pages for entry in page.get("Contents", [])]
    stored.sort(key=lambda entry: entry["LastModified"], reverse=True)
    return [(Path(entry["Key"]).stem, entry["LastModified"].isoformat(sep=" ", timespec="seconds")) for entry in stored]


def ensure_bucket(cloud: Cloud, bucket: str, *, create: bool) -> None:
    """Checks that the bucket can be used. One that is made is private, versioned, encrypted and for TLS only."""
    try:
        found = cloud.storage.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise DeployError(f"bucket {bucket} cannot be used: {error}") from error
        if not create:
            raise DeployError(f"there is no bucket {bucket}: name another one, or add --create-bucket") from error
        _create_bucket(cloud, bucket)
        return
    region = found.get("BucketRegion", cloud.region)
    if region != cloud.region:
        raise DeployError(
            f"bucket {bucket} is in {region}: Lambda takes code from one in its own Region, {cloud.region}"
        )


def _create_bucket(cloud: Cloud, bucket: str) -> None:
    storage = cloud.storage
    # us-east-1 is the one Region that S3 does not take as a constraint.
    place = {} if cloud.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": cloud.region}}
    storage.create_bucket(Bucket=bucket, **place)
    barriers = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    storage.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(barriers, True))
    storage.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    storage.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    arn = f"arn:{storage.meta.partition}:s3:::{bucket}"
    tls_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    storage.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls_only]}))
    print(f"made bucket {bucket}")


def _with_code(template: dict[str, Any], bucket: str, key: str) -> dict[str, Any]:
    for resource in template["Resources"].values():
        if resource["Type"] == FUNCTION:
            resource["Properties"]["CodeUri"] = {"Bucket": bucket, "Key": key}
    return template


def _hash(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]


def _upload(cloud: Cloud, bucket: str, key: str, content: bytes) -> None:
    try:
        cloud.storage.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        cloud.storage.put_object(Bucket=bucket, Key=key, Body=content)


def _template_key(stage: str, release_id: str) -> str:
    return f"releases/{stage}/{release_id}.json"


def _release(cloud: Cloud, bucket: str, stage: str, release_id: str, document: dict[str, Any]) -> Release:
    domain = "amazonaws.com.cn" if cloud.region.startswith("cn-") else "amazonaws.com"
    url = f"https://{bucket}.s3.{cloud.region}.{domain}/{_template_key(stage, release_id)}"
    return Release(release_id, url, document)

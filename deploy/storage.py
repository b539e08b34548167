"""The bucket of releases: an object is stored once, under the SHA-256 of its content, and verified when read."""

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from deploy.cloud import Cloud, DeployError

_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")
"""S3's errors for a conditional PUT of an object that exists or is being written: docs.aws.amazon.com/AmazonS3,
userguide/conditional-writes.html"""
_ABSENT = ("404", "NoSuchKey")


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the account that must own it: an abandoned bucket name can be taken by anyone."""

    storage: Any
    name: str
    owner: str
    is_missing: bool = False
    """Still to be created"""

    @property
    def place(self) -> dict[str, str]:
        """Sent with every request; S3 refuses it if another account owns the bucket."""
        return {"Bucket": self.name, "ExpectedBucketOwner": self.owner}

    def url(self, key: str, version: str | None) -> str:
        region = self.storage.meta.region_name
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        query = f"?{urlencode({'versionId': version})}" if version else ""
        return f"https://{self.name}.s3.{region}.{domain}/{key}{query}"


@dataclass(frozen=True)
class Stored:
    """An object whose content was compared with its hash. `version` is None in an unversioned bucket."""

    content: bytes
    version: str | None


def find_bucket(cloud: Cloud, name: str, owner: str | None, *, may_be_missing: bool = False) -> Bucket:
    """Checks that the bucket can be used. Raises DeployError."""
    bucket = Bucket(cloud.storage, name, owner or cloud.account_id())
    try:
        found = cloud.storage.head_bucket(**bucket.place)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "403":
            raise DeployError(
                f"bucket {name} cannot be used: access is denied, or it does not belong to {bucket.owner}; "
                "--bucket-owner names another account"
            ) from error
        if code not in ("404", "NoSuchBucket"):
            raise DeployError(f"bucket {name} cannot be used: {error}") from error
        if not may_be_missing:
            raise DeployError(
                f"there is no bucket {name}: choose another one, or deploy with --create-bucket"
            ) from error
        return replace(bucket, is_missing=True)
    region = found.get("BucketRegion", cloud.region)
    if region != cloud.region:
        raise DeployError(f"bucket {name} is in {region}: Lambda needs one in its own Region, {cloud.region}")
    return bucket


def create_bucket(cloud: Cloud, bucket: Bucket) -> None:
    """Private, versioned, encrypted and for TLS only."""
    storage = bucket.storage
    # us-east-1 is the one Region that S3 does not accept as a location constraint.
    place = {} if cloud.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": cloud.region}}
    storage.create_bucket(Bucket=bucket.name, **place)
    barriers = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    blocked = dict.fromkeys(barriers, True)
    storage.put_public_access_block(**bucket.place, PublicAccessBlockConfiguration=blocked)
    storage.put_bucket_versioning(**bucket.place, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    storage.put_bucket_encryption(**bucket.place, ServerSideEncryptionConfiguration={"Rules": [rule]})
    arn = f"arn:{storage.meta.partition}:s3:::{bucket.name}"
    tls_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    storage.put_bucket_policy(**bucket.place, Policy=json.dumps({"Version": "2012-10-17", "Statement": [tls_only]}))
    print(f"created bucket {bucket.name}")


def put_once(bucket: Bucket, key: str, content: bytes) -> None:
    """Uploads it unless the key exists. `read` checks whether the content is the same."""
    checksum = checksum_of(hash_of(content))
    try:
        bucket.storage.put_object(**bucket.place, Key=key, Body=content, IfNoneMatch="*", ChecksumSHA256=checksum)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _TAKEN:
            raise


def read(bucket: Bucket, key: str, sha256: str) -> Stored:
    """Raises DeployError for an object that does not exist or does not match its hash."""
    try:
        head = bucket.storage.head_object(**bucket.place, Key=key, ChecksumMode="ENABLED")
        checksum = head.get("ChecksumSHA256", "-")
        if "-" not in checksum and checksum != checksum_of(
            sha256
        ):  # a checksum with a dash is one of parts and proves nothing
            raise _foreign(bucket, key)
        version = {"VersionId": head["VersionId"]} if head.get("VersionId", "null") != "null" else {}
        content = bucket.storage.get_object(**bucket.place, Key=key, **version)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            raise DeployError(f"{key} is not in bucket {bucket.name}") from error
        raise
    if hash_of(content) != sha256:
        raise _foreign(bucket, key)
    return Stored(content, version.get("VersionId"))


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def checksum_of(sha256: str) -> str:
    """The hash in the format of S3 and Lambda."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def _foreign(bucket: Bucket, key: str) -> DeployError:
    return DeployError(
        f"{key} in bucket {bucket.name} does not match its name: somebody else has written it. Find out who, then "
        "remove it and deploy the package again"
    )

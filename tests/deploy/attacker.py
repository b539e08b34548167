"""An attacker with write access to the bucket of releases, and a record of the calls to AWS."""

import json
from collections.abc import Callable
from typing import Any

import boto3


class Attacker:
    """An attacker who may write to the bucket, and nothing else."""

    def __init__(self, bucket: str, stage: str) -> None:
        self._storage = boto3.client("s3")
        self._bucket = bucket
        self._folder = f"releases/{stage}/"

    def write(self, key: str, content: bytes, **more: Any) -> None:
        self._storage.put_object(Bucket=self._bucket, Key=key, Body=content, **more)

    def read(self, key: str) -> bytes:
        return bytes(self._storage.get_object(Bucket=self._bucket, Key=key)["Body"].read())

    def remove(self, key: str) -> None:
        self._storage.delete_object(Bucket=self._bucket, Key=key)

    def releases(self) -> set[str]:
        found = self._storage.list_objects_v2(Bucket=self._bucket, Prefix=self._folder).get("Contents", [])
        return {entry["Key"] for entry in found}

    def code_of(self, release: str) -> str:
        functions = json.loads(self.read(release))["Resources"].values()
        return str(next(each["Properties"]["CodeUri"]["Key"] for each in functions if "Function" in each["Type"]))


class Calls:
    """The calls to AWS, with actions of the attacker injected before them."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self._hooks: dict[str, Callable[[Any], None]] = {}

    def before(self, operation: str, hook: Callable[[Any], None]) -> None:
        self._hooks[operation] = hook

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.made.append((model.name, dict(params)))
        if hook := self._hooks.pop(model.name, None):
            hook(params)

    def named(self, operation: str) -> list[dict[str, Any]]:
        return [params for name, params in self.made if name == operation]

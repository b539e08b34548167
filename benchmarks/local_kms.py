"""A KMS for the product: the local stack's, with one key."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from benchmarks.server import configure
from chalicelib.security.vault import vault
from dev import environment
from dev.invocation import REGION
from dev.ports import HOST, find_free_port
from dev.supervisor import Part, Supervisor


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Yields the variables that lead the product to it."""
    port = find_free_port()
    environ = {**environment.plain(os.environ), **environment.cloud(port)}
    with Supervisor() as parts:
        parts.start(Part("kms", ["-m", "dev.aws", "--port", str(port)], environ, folder / "kms.log"))
        parts.wait_ready()
        url = f"http://{HOST}:{port}"
        kms = boto3.client("kms", endpoint_url=url, region_name=REGION)
        yield {"AWS_ENDPOINT_URL_KMS": url, "KMS_KEY_IDS": str(kms.create_key()["KeyMetadata"]["Arn"])}


@contextmanager
def in_use(variables: dict[str, str]) -> Iterator[None]:
    """The product wraps data keys under it, instead of under ENCRYPTION_KEY."""
    key = os.environ.pop("ENCRYPTION_KEY")
    configure(**variables)
    vault.cache_clear()
    yield
    for name in variables:
        del os.environ[name]
    configure(ENCRYPTION_KEY=key)
    vault.cache_clear()

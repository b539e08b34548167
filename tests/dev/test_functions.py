"""The local delivery function runs apart from the product, as the deployed one does."""

import os
from pathlib import Path
from uuid import uuid4

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from dev.environment import bare
from dev.ports import find_free_port
from dev.supervisor import Part, Supervisor
from tests.http_fake import Reply, http_fake

OF_THE_CALLER = {
    "DATABASE_URL": "postgresql://ansel_sync:password@127.0.0.1/ansel",
    "ENCRYPTION_KEY": "5e" * 32,
    "TENANT_PROOF_KEYS": "7e" * 32,
    "GOOGLE_CLIENT_SECRET": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "PATH": os.environ["PATH"],
    "LOG_LEVEL": "DEBUG",
}

KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


def test_its_process_has_no_variable_of_the_product_and_serves_invocations(tmp_path: Path) -> None:
    port = find_free_port()
    environ, arguments = bare(OF_THE_CALLER), ["-m", "dev.functions", "--port", str(port)]
    assert environ.keys() == {"PATH", "LOG_LEVEL", "PYTHONUNBUFFERED", "ANSEL_STAGE"}
    with Supervisor() as parts, http_fake() as receiver:
        parts.start(Part("deliver", arguments, environ, tmp_path / "deliver.log"))
        parts.wait_ready()
        has = psutil.Process(parts.pids()["deliver"]).environ().keys()
        assert not has & (OF_THE_CALLER.keys() - environ.keys())
        client = boto3.client("lambda", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **KEYS)
        receiver.on("/hook", Reply(status=202))
        event = f'{{"deliveryId": "{uuid4()}", "url": "{receiver.url}/hook", "headers": {{}}, "body": ""}}'
        answer = client.invoke(FunctionName="ansel-local-deliver", Payload=event)
        assert answer["Payload"].read() == b'{"status": 202}'
        with pytest.raises(ClientError, match="RequestTooLargeException"):
            client.invoke(FunctionName="ansel-local-deliver", Payload=b" " * 6_500_000)

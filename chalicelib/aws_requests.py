"""Requests to AWS: its JSON services and functions, signed with Signature Version 4 using the standard library.

boto3 does the same, but importing it takes longer than the rest of a cold start (docs/decisions/0006). The rules:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import http.client
import json
import ssl
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from chalicelib import clock
from chalicelib.secret import Secret
from chalicelib.settings import AwsIdentity, get_aws_endpoint, get_aws_identity, get_trace_header

ALGORITHM = "AWS4-HMAC-SHA256"
MEDIA_TYPE = "application/x-amz-json-1.1"
SERVICE_IDS = {"kms": "KMS", "lambda": "LAMBDA", "secretsmanager": "SECRETS_MANAGER"}
"""The services that are called, with their names in environment variables."""
TIMEOUT_SECONDS = 5
ATTEMPTS = 3
CONNECT_SECONDS = 5
MAX_ANSWER_BYTES = 64 * 1024
"""Of a function's result; ours return a few fields"""


class AwsError(Exception):
    """The service refused, with its code for the reason, or could not be reached."""

    def __init__(self, code: str, *, may_pass: bool) -> None:
        self.code = code
        self.may_pass = may_pass
        """Whether the same request may succeed later"""
        super().__init__(code)


def call(
    service: str,
    region: str,
    operation: str,
    payload: Mapping[str, Any],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> dict[str, Any]:
    """One operation of a service; transient failures are retried at once. Raises AwsError."""
    identity, body = _identity(), json.dumps(payload).encode()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _send(identity, service, region, operation, body, timeout_seconds)
        except AwsError as error:
            if not error.may_pass or attempt == ATTEMPTS:
                raise
    raise AssertionError


def invoke(function: str, payload: bytes, *, timeout_seconds: float) -> bytes:
    """The result of a function of ours, in this Region. Not retried: it may have done its work before it failed.

    Raises AwsError, also if the function itself fails: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    """
    identity, path = _identity(), f"/2015-03-31/functions/{function}/invocations"
    connection, host = _connection("lambda", identity.region, CONNECT_SECONDS)
    named = {"content-type": "application/json", "x-amz-invocation-type": "RequestResponse"}
    where = {"service": "lambda", "region": identity.region, "host": host, "path": path}
    signed = signed_headers(identity, named, **where, body=payload, at=clock.now())
    trace = {"x-amzn-trace-id": header} if (header := get_trace_header()) else {}
    try:
        connection.connect()
        connection.sock.settimeout(timeout_seconds)
        connection.request("POST", path, payload, {**signed, **trace})
        response = connection.getresponse()
        answer = response.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise AwsError(type(error).__name__, may_pass=True) from error
    finally:
        connection.close()
    if response.status != http.client.OK or response.getheader("x-amz-function-error"):
        kind = response.getheader("x-amzn-errortype") or response.getheader("x-amz-function-error")
        raise AwsError((kind or f"HTTP {response.status}").partition(":")[0], may_pass=True)
    return answer


def _identity() -> AwsIdentity:
    identity = get_aws_identity() or find_identity()
    if identity is None:
        raise AwsError("NoCredentials", may_pass=False)
    return identity


def signed_headers(
    identity: AwsIdentity,
    headers: Mapping[str, str],
    *,
    service: str,
    region: str,
    host: str,
    body: bytes,
    at: datetime,
    path: str = "/",
) -> dict[str, str]:
    """The headers of a POST, whose names are in lower case, signed. `at` is aware, in UTC."""
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    session = {"x-amz-security-token": identity.session_token.reveal()} if identity.session_token else {}
    headers = dict(sorted({**headers, "host": host, "x-amz-date": moment, **session}.items()))
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join(("POST", path, "", lines, names, sha256(body).hexdigest()))
    to_sign = "\n".join((ALGORITHM, moment, scope, sha256(request.encode()).hexdigest()))
    signature = hmac_sha256(signing_key(identity.secret_access_key, scope), to_sign).hex()
    credential = f"Credential={identity.access_key_id}/{scope}"
    return {**headers, "authorization": f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"}


def signing_key(secret_access_key: Secret, scope: str) -> bytes:
    key = f"AWS4{secret_access_key.reveal()}".encode()
    for part in scope.split("/"):
        key = hmac_sha256(key, part)
    return key


def hmac_sha256(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")


def _send(
    identity: AwsIdentity, service: str, region: str, operation: str, body: bytes, timeout_seconds: float
) -> dict[str, Any]:
    connection, host = _connection(service, region, timeout_seconds)
    named = {"content-type": MEDIA_TYPE, "x-amz-target": operation}
    signed = signed_headers(identity, named, service=service, region=region, host=host, body=body, at=clock.now())
    try:
        connection.request("POST", "/", body, signed)
        response = connection.getresponse()
        status, answer = response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise AwsError(type(error).__name__, may_pass=True) from error
    finally:
        connection.close()
    return _decoded(status, answer)


def _connection(service: str, region: str, timeout_seconds: float) -> tuple[http.client.HTTPConnection, str]:
    endpoint = get_aws_endpoint(SERVICE_IDS[service])
    if endpoint:
        parts = urlsplit(endpoint)
        factory = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return factory(parts.netloc, timeout=timeout_seconds), parts.netloc
    host = f"{service}.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    return http.client.HTTPSConnection(host, timeout=timeout_seconds, context=_tls()), host


def _decoded(status: int, answer: bytes) -> dict[str, Any]:
    try:
        decoded = json.loads(answer or b"{}")
    except ValueError as error:
        raise AwsError(f"HTTP {status}", may_pass=True) from error
    if not isinstance(decoded, dict):
        raise AwsError(f"HTTP {status}", may_pass=True)
    if status == http.client.OK:
        return decoded
    code = str(decoded.get("__type", f"HTTP {status}")).rpartition("#")[2]
    busy = status == http.client.TOO_MANY_REQUESTS or "Throttling" in code
    raise AwsError(code, may_pass=busy or status >= http.client.INTERNAL_SERVER_ERROR)


@cache
def _tls() -> ssl.SSLContext:
    """Created once, because reading the system's certificate authorities is slow."""
    return ssl.create_default_context()


def find_identity() -> AwsIdentity | None:
    """For a machine whose credentials are not in the environment: botocore knows all other sources."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import get_session

    session = get_session()
    try:
        credentials = session.get_credentials()
    except BotoCoreError:  # such as an id without its secret
        return None
    if credentials is None:
        return None
    keys = credentials.get_frozen_credentials()
    return AwsIdentity(
        region=session.get_config_variable("region") or "",
        access_key_id=keys.access_key,
        secret_access_key=Secret(keys.secret_key),
        session_token=Secret(keys.token) if keys.token else None,
    )

"""Tokens that RDS accepts as a password: a URL signed with Signature Version 4, valid for fifteen minutes.

The signature is computed here, as botocore does: importing botocore costs a cold start more than all the rest of
connecting.
"""

from datetime import datetime
from hashlib import sha256
from urllib.parse import quote

from chalicelib.aws_requests import ALGORITHM, hmac_sha256, signing_key
from chalicelib.secret import Secret
from chalicelib.settings import AwsIdentity

SERVICE = "rds-db"
LIFETIME_SECONDS = 900
"""A token is needed only at login: the connection outlives it."""
EMPTY_BODY = sha256(b"").hexdigest()


def make_token(identity: AwsIdentity, *, host: str, port: int, user: str, at: datetime) -> Secret:
    """`host` is the endpoint's own name: RDS knows no other. `at` is aware, in UTC."""
    moment = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{identity.region}/{SERVICE}/aws4_request"
    session = {"X-Amz-Security-Token": identity.session_token.reveal()} if identity.session_token else {}
    params = {
        "Action": "connect",
        "DBUser": user,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{identity.access_key_id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(LIFETIME_SECONDS),
        **session,
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in params.items())
    request = "\n".join(("GET", "/", query, f"host:{host}:{port}", "", "host", EMPTY_BODY))
    to_sign = "\n".join((ALGORITHM, moment, scope, sha256(request.encode()).hexdigest()))
    signature = hmac_sha256(signing_key(identity.secret_access_key, scope), to_sign).hex()
    return Secret(f"{host}:{port}/?{query}&X-Amz-Signature={signature}")

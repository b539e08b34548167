"""The environment of the stack's processes, without any of the caller's variables that could redirect them."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings
from dev.errors import StackError
from dev.invocation import ACCOUNT, QUEUE, REGION
from dev.ports import HOST
from dev.postgres import Urls
from dev.private import write_private
from dev.sandbox import CREDENTIALS

FOREIGN = ("AWS_", "ANSEL_", "PG")
FRONTENDS = ("http://localhost:3000", "http://127.0.0.1:3000")
"""The usual address of a frontend in development: a browser may be redirected there after an authorization."""
OURS = (
    *("DATABASE_URL", "DATABASE_AUTH", "DATABASE_SECRET_ARN"),
    *("MIGRATION_DATABASE_URL", "MIGRATION_DATABASE_AUTH", "MIGRATION_DATABASE_SECRET_ARN"),
    *("ENCRYPTION_KEY", "KMS_KEY_IDS", "PLATFORM_SECRETS_ARN", "TENANT_PROOF_KEYS", "TENANT_PROOF_SECRET_ARN"),
    *("SYNC_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"),
)


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if not name.startswith(FOREIGN) and name not in OURS}
    # A proxy set in the environment cannot reach this machine's loopback.
    return {**kept, "PYTHONUNBUFFERED": "1", "NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}


def product(
    environ: Mapping[str, str],
    *,
    urls: Urls,
    queue_port: int,
    functions_port: int = 0,
    sandbox_url: str,
    encryption_key: str,
    proof_key: str,
    public_url: str = "",
) -> dict[str, str]:
    """The variables of chalicelib/settings.py for the `local` stage, as the API sees them."""
    return {
        **CREDENTIALS,
        "PUBLIC_URL": public_url,
        "RETURN_URLS": ",".join(FRONTENDS),
        **plain(environ),
        **cloud(queue_port, functions_port),
        "ANSEL_STAGE": "local",
        "DATABASE_URL": urls.api,
        "ENCRYPTION_KEY": encryption_key,
        "TENANT_PROOF_KEYS": proof_key,
        "PLATFORM_SANDBOX_URL": sandbox_url,
    }


def ensure_accepted(environ: Mapping[str, str], sandbox_url: str) -> None:
    """Raises StackError for a caller's variable that the product would refuse, before anything is started."""
    nowhere = f"postgresql://nobody:nothing@{HOST}:1/none"
    made = product(
        environ,
        urls=Urls(**dict.fromkeys(("owner", "api", "tick", "sync", "maintenance", "admin", "superuser"), nowhere)),
        queue_port=1,
        sandbox_url=sandbox_url or f"http://{HOST}:1",
        encryption_key="0" * 64,
        proof_key="0" * 64,
    )
    try:
        Settings.from_environ(made)
    except SettingsError as error:
        raise StackError(str(error)) from error


def administration(product: Mapping[str, str], urls: Urls) -> dict[str, str]:
    """The admin function's additional variables: other database roles, and the dead-letter queue."""
    return {
        **product,
        "DATABASE_URL": urls.admin,
        "MIGRATION_DATABASE_URL": urls.owner,
        "DEAD_LETTER_QUEUE_URL": f"{product['SYNC_QUEUE_URL']}-dead",
    }


def bare(environ: Mapping[str, str]) -> dict[str, str]:
    """The delivery function's variables: none of the product's, and none of the caller's that it does not need."""
    kept = {name: environ[name] for name in ("PATH", "LOG_LEVEL") if name in environ}
    return {**kept, "PYTHONUNBUFFERED": "1", "ANSEL_STAGE": "local"}


def cloud(port: int, functions_port: int = 0) -> dict[str, str]:
    """What boto3 and the product need to find the queue in dev/aws.py and the delivery function in dev/functions.py."""
    functions = {"AWS_ENDPOINT_URL_LAMBDA": f"http://{HOST}:{functions_port}"} if functions_port else {}
    return {
        **functions,
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SYNC_QUEUE_URL": f"http://{HOST}:{port}/{ACCOUNT}/{QUEUE}",
    }


def get_key(path: Path) -> str:
    """A key of this stack, created once: nothing else can open what it seals or accept what it proves."""
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return path.read_text().strip()

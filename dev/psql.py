"""`make psql`: PostgreSQL's own prompt in the running stack's database, as its superuser or a role of the product."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from uuid import UUID

import pg8000.native

from chalicelib.data.postgres.tenants import proof_of
from chalicelib.settings import parse_proof_keys
from dev import environment
from dev.errors import StackError
from dev.options import Options, ensure_running
from dev.passwords import Passwords
from dev.ports import HOST
from dev.postgres import SUPERUSER, passwords_file, program
from migrations.privileges import LOGINS

ROLES = {"postgres": SUPERUSER, "owner": "ansel_owner"} | {role.removeprefix("ansel_"): role for role in LOGINS}
STUDIO_ROLES = ("api", "sync")
"""Roles that see no rows until they name and prove a studio."""


def connection(options: Options, role: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which psql connects. Raises StackError if no stack is running."""
    ensure_running(options)
    product = json.loads(options.admin_file.read_text())
    url = urlsplit(product["MIGRATION_DATABASE_URL"])
    passwords = Passwords(passwords_file(options.postgres_dir))
    port, database = url.port or 0, url.path.lstrip("/")
    env = {
        **environment.plain(environ),
        "PGHOST": HOST,
        "PGPORT": str(port),
        "PGDATABASE": database,
        "PGUSER": ROLES[role],
        "PGPASSWORD": passwords.get(ROLES[role]),
        "PGAPPNAME": "make psql",
        "PSQL_HISTORY": str(options.local_dir / "psql_history"),
    }
    if role in STUDIO_ROLES:
        superuser = pg8000.native.Connection(
            SUPERUSER, host=HOST, port=port, database=database, password=passwords.get(SUPERUSER)
        )
        try:
            studio = _demo_studio(options, superuser)
        finally:
            superuser.close()
        proof = proof_of(studio, parse_proof_keys(product["TENANT_PROOF_KEYS"])[0])
        env["PGOPTIONS"] = f"-c app.studio_id={studio} -c app.studio_proof={proof}"
    return env


def _demo_studio(options: Options, superuser: pg8000.native.Connection) -> UUID:
    """The studio that the stack's API key belongs to."""
    if not options.key_file.exists():
        raise StackError("the demo studio does not exist yet; wait until `make run` says that AnselAI is running")
    key_id = UUID(options.key_file.read_text().split("_")[1])
    found = superuser.run("SELECT studio_id FROM api_key WHERE id = :key_id", key_id=key_id)
    if not found:
        raise StackError("the database has no demo studio: was its API key deleted?")
    return UUID(str(found[0][0]))


def command(sql: str, arguments: Sequence[str]) -> list[str]:
    return [program("psql"), "--no-password", *(["--command", sql] if sql else []), *arguments]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make psql", description=__doc__)
    parser.add_argument("--role", default="postgres")
    role, arguments = parser.parse_known_args()
    try:
        if role.role not in ROLES:
            raise StackError(f"ROLE must be one of {', '.join(ROLES)}, not {role.role!r}")
        env = connection(Options.from_environ(os.environ), role.role, os.environ)
        argv = command(os.environ.get("SQL", ""), arguments)
        os.execve(argv[0], argv, env)  # noqa: S606  psql takes over the terminal
    except StackError as error:
        problem = str(error)
    except (OSError, pg8000.exceptions.Error) as error:
        problem = f"PostgreSQL cannot be reached: {error}"
    print(f"make psql: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""`make run`: the whole product on this machine, one process per part, with all data under LOCAL_DIR."""

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType

from dev import environment, process
from dev.api import Api
from dev.demo import connect_google
from dev.errors import StackError
from dev.options import Options, locked
from dev.parts import write_parts
from dev.ports import HOST, ensure_free, find_free_port
from dev.postgres import Postgres, Urls, bootstrap
from dev.private import write_private
from dev.supervisor import Part, Supervisor

WORKERS = 2
WATCH_SECONDS = 0.5


def run(options: Options) -> None:
    """Starts everything and supervises it until interrupted."""
    ensure_free(options.port)
    environment.ensure_accepted(os.environ, options.sandbox_url)
    with locked(options):
        options.parts_file.unlink(missing_ok=True)
        say("Starting PostgreSQL 18")
        postgres = Postgres(options.postgres_dir, log=options.log("postgres"))
        with postgres, Supervisor() as parts:
            urls = bootstrap(postgres)
            env = start_parts(options, urls, parts)
            write_down(options, postgres, parts)
            api = Api(options.port, ensure_studio(options, {**env, "DATABASE_URL": urls.admin}))
            if not options.sandbox_url:
                connect_google(api)
            announce(options)
            while postgres.process.poll() is None:
                if parts.revive():
                    write_down(options, postgres, parts)
                time.sleep(WATCH_SECONDS)
            raise StackError(f"PostgreSQL ended: {process.last_line(options.log('postgres'))}")


def write_down(options: Options, postgres: Postgres, parts: Supervisor) -> None:
    write_parts(options.parts_file, options.url, {"postgres": postgres.process.pid, **parts.pids()})


def start_parts(options: Options, urls: Urls, parts: Supervisor) -> dict[str, str]:
    """What needs no database starts while it migrates; what needs all of it starts afterwards."""
    queue_port, functions_port, sandbox_port = find_free_port(), find_free_port(), find_free_port()
    product = partial(
        environment.product,
        urls=urls,
        queue_port=queue_port,
        functions_port=functions_port,
        public_url=options.url,
        sandbox_url=options.sandbox_url or f"http://{HOST}:{sandbox_port}",
        encryption_key=environment.get_key(options.local_dir / "secrets" / "encryption_key"),
        proof_key=environment.get_key(options.local_dir / "secrets" / "tenant_proof_key"),
    )
    env = product(os.environ)
    own = {name: env[name] for name in product({})}  # no other variable of the caller is stored
    write_private(options.api_file, json.dumps(own))
    write_private(options.admin_file, json.dumps(environment.administration(own, urls)))

    def part(name: str, module: str, *arguments: object, login: str = urls.api) -> Part:
        login_env = {**env, "DATABASE_URL": login}
        return Part(name, ["-m", module, *map(str, arguments)], login_env, options.log(name))

    say("Starting the local AWS" + ("" if options.sandbox_url else " and the sandbox platforms"))
    parts.start(part("queue", "dev.aws", "--port", queue_port))
    delivery = ["-m", "dev.functions", "--port", str(functions_port)]
    parts.start(Part("deliver", delivery, environment.bare(os.environ), options.log("deliver")))
    if not options.sandbox_url:
        state = options.local_dir / "sandbox"
        parts.start(part("sandbox", "dev.sandbox", "--port", sandbox_port, "--state", state))
    say("Migrating the database")
    process.run(
        "migration",
        ["-m", "alembic", "upgrade", "head"],
        options.log("migration"),
        {**env, "MIGRATION_DATABASE_URL": urls.owner},
    )
    parts.wait_ready()
    say("Starting the API, the tick and the sync workers")
    parts.start(part("api", "dev.server", "--port", options.port))
    parts.wait_ready()
    # Not waited for: they find what is due as soon as they run.
    workers = (part(f"worker-{number}", "dev.worker", login=urls.sync) for number in range(1, WORKERS + 1))
    parts.start(*workers)
    parts.start(part("ticker", "dev.ticker", "tick", login=urls.tick))
    parts.start(part("maintenance", "dev.ticker", "maintenance", login=urls.maintenance))
    return env


def ensure_studio(options: Options, env: Mapping[str, str]) -> str:
    """The API key of the demo studio; both are created unless the database already has the key."""
    if options.key_file.exists():
        key = options.key_file.read_text()
        if Api(options.port, key).call("GET", "/api/connections")[0] != 401:
            return key
    say("Making the demo studio and its API key")
    process.run("seed", ["-m", "dev.seed", str(options.key_file)], options.log("seed"), env)
    return options.key_file.read_text()


def announce(options: Options) -> None:
    key = options.key_file.read_text()
    write_private(options.local_dir / "env", f"ANSEL_URL={options.url}\nANSEL_API_KEY={key}\n")
    json_body = "-H 'Content-Type: application/json' -d"
    call = 'curl -H "Authorization: Bearer $ANSEL_API_KEY"'
    say(
        f"\nAnselAI is running; Ctrl-C stops it.\n\n"
        f"  URL      {options.url}\n"
        f"  API key  {key}\n\n"
        f"Try, in another terminal:\n"
        f"  . {as_typed(options.local_dir / 'env')}\n"
        f"  {call} $ANSEL_URL/api/connections\n"
        f'  {call} "$ANSEL_URL/api/sync/log?limit=5"\n'
        f"  {call} $ANSEL_URL/api/metrics/overview\n\n"
        f"To try an authorization, open the authorizeUrl that this returns in a browser:\n"
        f"  {call} -X POST $ANSEL_URL/api/oauth/meta/authorize\n"
        f"It ends with a code; complete it with:\n"
        f'  {call} {json_body} \'{{"code": "..."}}\' $ANSEL_URL/api/oauth/meta/complete\n\n'
        f"make status, make logs and make psql look inside; the logs are in {as_typed(options.local_dir / 'logs')}."
    )


def as_typed(path: Path) -> str:
    """The path as typed in the repository's folder."""
    shown = path.relative_to(process.ROOT) if path.is_relative_to(process.ROOT) else path
    return shlex.quote(str(shown))


def say(text: str) -> None:
    print(text, flush=True)


def interrupt(number: int, frame: FrameType | None) -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # already stopping: a second Ctrl-C must not leave children behind
    raise KeyboardInterrupt


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        run(Options.from_environ(os.environ))
    except KeyboardInterrupt:
        say("Stopped")
        return 0
    except StackError as error:
        problem = str(error)
    except OSError as error:
        problem = process.reason(error)
    print(f"make run: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

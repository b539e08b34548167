"""The embedded server: its data persists, leftovers of a killed stack do no harm, its roles have minimal rights."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pg8000.native
import psutil
import pytest
from pg8000.exceptions import DatabaseError

from dev.errors import StackError
from dev.postgres import Postgres, Urls, bootstrap


def connect(url: str) -> pg8000.native.Connection:
    parts = urlsplit(url)
    assert parts.username and parts.hostname
    return pg8000.native.Connection(
        parts.username,
        host=parts.hostname,
        port=parts.port or 0,
        password=parts.password,
        database=parts.path.removeprefix("/"),
    )


def run(url: str, *statements: str) -> list[list[object]]:
    connection = connect(url)
    try:
        rows: list[list[object]] = []
        for statement in statements:
            rows = connection.run(statement) or []
        return rows
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("server") / "postgres", durable=False) as server:
        yield server


@pytest.fixture(scope="module")
def urls(server: Postgres) -> Urls:
    return bootstrap(server)


@pytest.fixture(scope="module")
def resting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a stopped server, initialized next to an incomplete one from an interrupted start."""
    data = tmp_path_factory.mktemp("resting") / "data"
    data.with_name("data.new").mkdir()
    data.with_name("data.new").joinpath("PG_VERSION").write_text("18\n")
    with Postgres(data, durable=False):
        return data


def test_the_server_is_version_18_in_utf8_and_utc(urls: Urls) -> None:
    names = ("server_version_num", "server_encoding", "TimeZone")
    rows = run(urls.api, "SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
    assert str(rows[0][0]).startswith("18")
    assert rows[0][1:] == ["UTF8", "UTC"]


def test_bootstrapping_again_changes_nothing(server: Postgres, urls: Urls) -> None:
    run(urls.owner, "CREATE TABLE IF NOT EXISTS kept (id int)")
    again = bootstrap(server)
    assert (again.owner, again.api, again.superuser) == (urls.owner, urls.api, urls.superuser)
    assert run(again.owner, "SELECT count(*) FROM kept") == [[0]]


def test_urls_do_not_print_their_passwords(urls: Urls) -> None:
    assert "postgresql" not in repr(urls)


def test_a_wrong_password_is_refused(urls: Urls) -> None:
    password = urlsplit(urls.api).password or ""
    with pytest.raises(DatabaseError, match="password authentication failed"):
        connect(urls.api.replace(password, "0" * len(password)))


def test_neither_role_can_bypass_row_level_security(urls: Urls) -> None:
    rows = run(
        urls.superuser, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'ansel%' AND (rolsuper OR rolbypassrls)"
    )
    assert rows == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE ROLE mine",
        "SET ROLE ansel_owner",
        "SET ROLE ansel_definer",
        "ALTER ROLE ansel_api BYPASSRLS",
    ],
)
def test_the_application_owns_and_creates_nothing(urls: Urls, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        run(urls.api, statement)


def test_the_owner_creates_functions_as_the_definer_without_its_rights(urls: Urls) -> None:
    run(
        urls.owner,
        "CREATE SCHEMA across",
        "GRANT USAGE, CREATE ON SCHEMA across TO ansel_definer",
        "CREATE TABLE across.thing AS SELECT 1 AS id",
        "GRANT SELECT ON across.thing TO ansel_definer",
        "ALTER TABLE across.thing ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY definer ON across.thing TO ansel_definer USING (true)",
        "CREATE FUNCTION across.things() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
        " AS 'SELECT count(*) FROM across.thing'",
        "ALTER FUNCTION across.things() OWNER TO ansel_definer",
    )
    assert run(urls.owner, "SELECT across.things(), (SELECT count(*) FROM across.thing)") == [[1, 0]]


def test_data_and_passwords_outlive_a_restart(resting: Path) -> None:
    with Postgres(resting, durable=False) as server:
        before = bootstrap(server)
        run(before.owner, "CREATE TABLE note (text text)", "INSERT INTO note VALUES ('still here')")
    with Postgres(resting, durable=False) as server:
        assert run(bootstrap(server).owner, "SELECT text FROM note") == [["still here"]]
    assert resting.with_name("data.passwords").stat().st_mode & 0o777 == 0o600


def test_an_orphaned_server_is_stopped_and_its_data_used(resting: Path) -> None:
    orphaned = Postgres(resting, durable=False)
    orphaned.start()
    with Postgres(resting, durable=False) as server:
        assert orphaned.process.wait(5) == 0
        assert run(server.url(), "SELECT 1") == [[1]]


def test_a_pid_file_naming_an_unrelated_process_does_not_stop_it(resting: Path) -> None:
    (resting / "postmaster.pid").write_text(f"{os.getpid()}\n{resting}\n")
    with Postgres(resting, durable=False) as server:
        assert run(server.url(), "SELECT 1") == [[1]]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux notifies a child of its parent's death")
def test_a_server_does_not_outlive_a_killed_parent(resting: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from dev.postgres import Postgres\n"
        "server = Postgres(Path(sys.argv[1]), durable=False); server.start()\n"
        "print(server.process.pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, str(resting)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        server = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    server.wait(10)


def test_a_port_in_use_is_one_clear_line(resting: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Postgres(resting, durable=False, port=taken.getsockname()[1])
        with pytest.raises(StackError, match="Address already in use") as caught:
            server.start()
    assert "\n" not in str(caught.value)


def test_a_data_folder_that_cannot_be_created_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"Not a directory|File exists") as caught:
        Postgres(tmp_path / "file" / "data", durable=False).start()
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root closes a folder to the server's user")
def test_as_root_the_server_runs_unprivileged_below_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    with Postgres(closed / "data", durable=False) as server:
        assert psutil.Process(server.process.pid).uids().effective != 0
        assert run(server.url(), "CREATE TABLE t (id int)", "CHECKPOINT", "SELECT count(*) FROM t") == [[0]]

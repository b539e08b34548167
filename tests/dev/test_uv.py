"""`dev/uv.py` passes pip's configuration to uv."""

import subprocess
import sys
from pathlib import Path

import pytest

from dev import uv
from tests.conftest import ROOT


def told(*lines: str, **environ: str) -> dict[str, str]:
    """The variables set for uv, except those that always are."""
    made = uv.variables(uv.parse(lines), environ)
    assert made.pop("UV_INDEX_STRATEGY") == "unsafe-best-match"
    return made


def test_an_unconfigured_pip_changes_nothing_for_uv() -> None:
    assert told() == {}


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("global.index-url='https://packages.example/simple'", {"UV_DEFAULT_INDEX": "https://packages.example/simple"}),
        ("global.extra-index-url='\\nhttps://a.example\\nfile:///b'", {"UV_INDEX": "https://a.example file:///b"}),
        ("global.find-links='/wheels https://c.example'", {"UV_FIND_LINKS": "/wheels,https://c.example"}),
        ("global.trusted-host='a.example b.example'", {"UV_INSECURE_HOST": "a.example b.example"}),
        ("global.cert='/etc/ssl/mine.crt'", {"SSL_CERT_FILE": "/etc/ssl/mine.crt"}),
        ("global.client-cert='/etc/ssl/me.pem'", {"SSL_CLIENT_CERT": "/etc/ssl/me.pem"}),
        (":env:.default-timeout='180'", {"UV_HTTP_TIMEOUT": "180"}),
        ("global.timeout='2.6'", {"UV_HTTP_TIMEOUT": "3"}),
        ("global.retries='2'", {"UV_HTTP_RETRIES": "2"}),
        ("download.index-url='https://not-for-install.example'", {}),
    ],
)
def test_a_pip_option_is_passed_to_uv(line: str, made: dict[str, str]) -> None:
    assert told(line) == made


def test_a_proxy_is_passed_for_every_scheme_and_with_its_own_scheme() -> None:
    made = told("global.proxy='user:secret@proxy.example:3128'")
    assert made == dict.fromkeys(uv.PROXIES, "http://user:secret@proxy.example:3128")


def test_variables_override_files_and_the_install_section_overrides_global() -> None:
    lines = ["install.index-url='https://b.example'", "global.index-url='https://a.example'"]
    assert told(*lines) == {"UV_DEFAULT_INDEX": "https://b.example"}
    assert told(":env:.index-url='https://c.example'", *lines) == {"UV_DEFAULT_INDEX": "https://c.example"}


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_settings_for_uv_itself_are_kept(name: str) -> None:
    assert told("global.index-url='https://a.example'", **{name: "https://mine.example"}) == {}


@pytest.mark.parametrize(("value", "flags"), [("1", ["--no-index"]), ("true", ["--no-index"]), ("0", []), ("no", [])])
def test_no_index_is_a_flag(value: str, flags: list[str]) -> None:
    assert uv.flags(uv.parse([f":env:.no-index='{value}'"])) == flags


def test_it_returns_uvs_exit_code(tmp_path: Path) -> None:
    """Uses the real pip, whose configuration is read, and the real uv with an unknown command."""
    command = [sys.executable, "-P", str(ROOT / "dev" / "uv.py"), "no-such-command"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no-such-command" in done.stderr

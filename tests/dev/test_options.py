"""A developer's options for the local stack: invalid values are refused by name, and a folder has one stack."""

from pathlib import Path

import pytest

from dev import environment
from dev.errors import StackError
from dev.options import Options, is_locked, locked


def in_folder(local_dir: Path) -> Options:
    return Options.from_environ({"LOCAL_DIR": str(local_dir)})


def test_unset_options_have_defaults() -> None:
    options = Options.from_environ({})
    assert (options.url, options.local_dir) == ("http://127.0.0.1:8000", Path(".local").absolute())
    assert (options.tick_seconds, options.maintenance_seconds) == (60, 3600)


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_an_invalid_port_is_refused(port: str) -> None:
    with pytest.raises(StackError, match="PORT must be a number"):
        Options.from_environ({"PORT": port})


@pytest.mark.parametrize("name", ["TICK_SECONDS", "MAINTENANCE_SECONDS"])
@pytest.mark.parametrize("seconds", ["foo", "0", "-1", "1e3", "nan", "inf", "604801", "1 minute", "\u0663"])
def test_an_invalid_interval_is_refused(name: str, seconds: str) -> None:
    with pytest.raises(StackError, match=f"{name} must be a number of seconds") as caught:
        Options.from_environ({name: seconds})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("seconds", "taken"), [("1", 1.0), ("0.25", 0.25), (" 90 ", 90.0), ("", 60.0)])
def test_a_valid_interval_is_accepted(seconds: str, taken: float) -> None:
    assert Options.from_environ({"TICK_SECONDS": seconds}).tick_seconds == taken


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PLATFORM_SANDBOX_URL", "localhost:9000"),
        ("LOG_LEVEL", "loud"),
        ("SYNC_LOG_RETENTION_DAYS", "7"),
        ("PUBLIC_URL", "api.studio.example"),
        ("RETURN_URLS", "http://localhost:3000,nowhere"),
    ],
)
def test_a_variable_that_the_product_refuses_is_refused_first(name: str, value: str) -> None:
    sandbox_url = Options.from_environ({name: value}).sandbox_url
    with pytest.raises(StackError, match=f"^{name} must "):
        environment.ensure_accepted({name: value}, sandbox_url)


def test_variables_that_the_product_accepts_are_accepted() -> None:
    environment.ensure_accepted({"LOG_LEVEL": "debug", "DATABASE_URL": "of somebody else"}, "")


def test_a_folder_below_a_file_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StackError, match=f"is below {tmp_path / 'file'}, which is a file"),
        locked(in_folder(tmp_path / "file" / "local")),
    ):
        pass


def test_a_folder_that_cannot_be_written_to_says_why(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StackError, match=r"cannot be written to: Is a directory .*lock"), locked(in_folder(tmp_path)):
        pass


def test_a_folder_has_one_stack(tmp_path: Path) -> None:
    options = in_folder(tmp_path)
    assert not is_locked(options)
    with locked(options):
        assert is_locked(options)
        with pytest.raises(StackError, match="another stack is running in"), locked(options):
            pass
    assert not is_locked(options)

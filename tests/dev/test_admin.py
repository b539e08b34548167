"""`make admin` without a stack: how words become commands, and its errors."""

import fcntl
import json
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from chalicelib.errors import InvalidInput
from chalicelib.services.operations.commands import COMMANDS
from dev import admin
from dev.admin import parse
from dev.options import Options, is_locked


def test_words_and_options_form_a_command() -> None:
    command = parse(["studio", "create", "--name", "Anna & Jo", "--time-zone", "Europe/Berlin"])
    assert msgspec.to_builtins(command) == {
        "command": "studio create",
        "name": "Anna & Jo",
        "timeZone": "Europe/Berlin",
    }


def test_numbers_lists_and_flags_are_parsed_by_type() -> None:
    studio, key = str(uuid4()), str(uuid4())
    made = parse(["api-key", "create", "--studio-id", studio, "--name", "x", "--scopes", "sync:read", "metrics:read"])
    assert msgspec.to_builtins(made)["scopes"] == ("sync:read", "metrics:read")
    rotated = parse(["api-key", "rotate", "--studio-id", studio, "--key-id", key, "--grace-hours", "2"])
    assert msgspec.to_builtins(rotated)["graceHours"] == 2
    assert msgspec.to_builtins(parse(["dead-letters", "requeue", "--dry-run"]))["dryRun"] is True


def test_an_invalid_value_is_reported_by_its_field() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(["studio", "show", "--studio-id", "7"])
    assert [problem.field for problem in caught.value.fields] == ["studioId"]


@pytest.mark.parametrize("words", [["studio"], ["studio", "destroy"]])
def test_an_unknown_command_is_reported_with_the_list_of_commands(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert all(name in told for name in COMMANDS)
    assert told.endswith(f"there is no command {' '.join(words)}\n")


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_without_a_command_it_lists_them_and_succeeds(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([*name.split(), "--help"])
    assert caught.value.code == 0
    assert str(COMMANDS[name].__doc__).split()[0] in capsys.readouterr().out


def test_a_missing_required_option_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["studio", "create"])
    assert "--name" in capsys.readouterr().err


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["dev.admin", "studio", "list"])
    return tmp_path


def test_without_a_stack_it_says_how_to_start_one(main: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert admin.main() == 1
    assert "start one with `make run`" in capsys.readouterr().err


def test_leftovers_of_a_stopped_stack_are_not_mistaken_for_a_running_one(
    main: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options.from_environ({"LOCAL_DIR": str(main)})
    options.admin_file.parent.mkdir(parents=True)
    options.admin_file.write_text(json.dumps({}))
    (main / "lock").touch()
    assert admin.main() == 1
    assert "no stack is running" in capsys.readouterr().err
    with (main / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_locked(options)

"""Every command that a page tells its reader to type is run by a test, or says above its block why not."""

import ast
import re
import shlex
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from tests.conftest import ROOT
from tests.names import imported_names
from tests.pages import PAGES, Block, Command, blocks_of, inline_commands, read_blocks, shell_blocks

REASONS = {
    "needs an AWS account",
    "would run these tests in themselves",
    "takes minutes to hours",
    "asks a service on the internet",
}
NOT_RUN = {
    "CONTRIBUTING.md": 2,
    "README.md": 1,
    "docs/admin.md": 1,
    "docs/benchmarks.md": 2,
    "docs/keys.md": 3,
    "docs/operations.md": 23,
    "docs/packaging.md": 1,
    "docs/reliability.md": 5,
}
"""Commands that nothing runs, per page. A test for one of them is worth more than a higher number."""
OF_THE_COMMAND_LINE = {"--query", "--output", "--cli-binary-format", "--cli-read-timeout"}
"""Options that every AWS command accepts."""
OF_THE_COMMAND_LINE_ALONE = {("cloudformation", "package")}
"""Commands that are no operation of the service."""
COMMANDS = [(block, command) for block in shell_blocks() for command in block.commands]


def _where(value: object) -> str | None:
    if isinstance(value, Block):
        return f"{value.page}:{value.line}"
    return value.text[:50] if isinstance(value, Command) else None


def test_every_block_names_its_language() -> None:
    """So that no block of commands escapes the tests below."""
    assert [_where(block) for block in read_blocks() if not block.language] == []


def test_every_reason_is_one_of_a_few() -> None:
    assert {command.not_run for _, command in COMMANDS if command.not_run} == REASONS


def test_no_more_commands_are_left_unrun() -> None:
    assert dict(Counter(block.page for block, command in COMMANDS if command.not_run)) == NOT_RUN


def test_every_mark_speaks_of_a_command() -> None:
    for block in shell_blocks():
        texts = [command.text for command in block.commands]
        for clause in block.clauses:
            assert any(text.startswith(clause["command"]) for text in texts), f"{_where(block)}: {clause[0]}"


@pytest.mark.parametrize(
    ("block", "command"), [(block, command) for block, command in COMMANDS if command.tests], ids=_where
)
def test_a_named_test_runs_the_command(block: Block, command: Command) -> None:
    for file in command.tests:
        text = _text_with_helpers(ROOT / file)
        assert [name for name in names(command) if name not in text] == []


@pytest.mark.parametrize(
    ("block", "command"), [(block, command) for block, command in COMMANDS if not command.is_unmarked], ids=_where
)
def test_a_command_that_is_not_run_as_it_stands_is_spelt_correctly(block: Block, command: Command) -> None:
    check_spelling(command.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_in_the_text_is_spelt_correctly(page: Path) -> None:
    for text in inline_commands(page, "make", "aws"):
        check_spelling(text)


def names(command: Command) -> list[str]:
    """What a test that runs the command must have in its source: a module with its first argument, an address, ..."""
    text, words = command.text, command.words
    if admin := re.search(r"admin (?:CMD=[\"']|'\{\"command\": \")((?:[a-z][a-z-]* ?)+)", text):
        return [admin[1].strip()]
    if path := re.search(r"^curl .*_URL(/[\w/.-]+)", text):
        return [re.sub(r"(?<=/connections)/\w+$", "/", path[1])]
    if function := re.search(r"^aws lambda invoke --function-name \S+-(\w+)\b", text):
        return [f"{function[1]}("]
    script = _recipe(words[1]) if words[0] == "make" else text
    modules = re.findall(r"-m ([\w.]+)(?: ([a-z]+)\b)?", script)
    if not modules:
        return [Path(next(word for word in words if "=" not in word)).name]
    return [name for module, action in modules for name in (module, f'"{action}"' if action else "") if name]


def check_spelling(text: str) -> None:
    """A target of the Makefile with its variables, an AWS command with its options, a module with its own."""
    if text.startswith("make "):
        check_target(shlex.split(text)[1:])
    plain = re.sub(r"\"[^\"]*\"|'[^']*'", "VALUE", text)
    for invocation in re.findall(r"\baws ([a-z0-9][\w-]* [a-z][^|;&)]*)", plain):
        check_aws(invocation)
    for module, options in re.findall(r"python -m ([\w.]+)([^|;&]*)", text):
        path = ROOT / module.replace(".", "/")
        files = list(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        source = "".join(_text_with_parts(file) for file in files)
        assert [option for option in re.findall(r"--[a-z-]+", options) if f'"{option}"' not in source] == [], text


def check_target(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    target, *variables = words
    assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    named = [variable.partition("=")[0] for variable in variables if variable != "..."]
    assert [name for name in named if f"$({name})" not in makefile and f"$(or $({name})" not in makefile] == []


def check_aws(text: str) -> None:
    service, action, *words = text.split()
    if (service, action) in OF_THE_COMMAND_LINE_ALONE:
        return
    client: Any = _client(service)
    if action == "wait":
        assert words.pop(0).replace("-", "_") in client.waiter_names
        return
    operations = [name for name in client.meta.service_model.operation_names if xform_name(name, "-") == action]
    assert len(operations) == 1, text
    shape = client.meta.service_model.operation_model(operations[0]).input_shape
    known = {f"--{xform_name(member, '-')}" for member in shape.members}
    given = {word for word in words if word.startswith("--")} - OF_THE_COMMAND_LINE
    assert {option.replace("--no-", "--") for option in given} <= known | {"--enabled"}, text
    if words and not text.rstrip().endswith("..."):
        assert {f"--{xform_name(member, '-')}" for member in shape.required_members} <= given | {"--function-name"}, (
            text
        )


@cache
def _client(service: str) -> Any:
    return botocore.session.get_session().create_client(
        service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def _recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert found, target
    return found[1]


@cache
def _text_with_parts(path: Path) -> str:
    """A program's source and that of the modules beside it that it imports, which may declare its options."""
    source = path.read_text("utf-8")
    imported = imported_names(ast.parse(source)).values()
    beside = {path.parent / f"{name.split('.')[1]}.py" for name in imported if name.startswith(f"{path.parent.name}.")}
    return "\n".join([source, *(part.read_text("utf-8") for part in beside if part.is_file())])


@cache
def _text_with_helpers(path: Path) -> str:
    """A test's source and that of the helpers it imports."""
    source = path.read_text("utf-8")
    imported = imported_names(ast.parse(source)).values()
    modules = {name.rpartition(".")[0] for name in imported if name.startswith("tests.") and name.count(".") > 2}
    helpers = [file for module in modules if (file := ROOT / f"{module.replace('.', '/')}.py").is_file()]
    return "\n".join([source, *imported, *(file.read_text("utf-8") for file in helpers)])


PAGE = """
<!-- make logs run by tests/a.py, tests/b.py; not run: needs an AWS account -->
   ```sh
   make logs        # follows
   make deploy \\
       STAGE=prod   # asks
   ```

```console
$ make status
all is
well
$ make psql
```
"""


def test_a_mark_speaks_of_the_commands_that_begin_with_its_words() -> None:
    script, transcript = blocks_of("docs/page.md", PAGE)
    assert script.commands == [
        Command("make logs", tests=("tests/a.py", "tests/b.py")),
        Command("make deploy STAGE=prod", not_run="needs an AWS account"),
    ]
    assert transcript.commands == [Command("make status", "all is\nwell"), Command("make psql")]


def test_a_mark_that_is_not_understood_is_refused() -> None:
    (block,) = blocks_of("docs/page.md", "<!-- ran once -->\n```sh\nmake run\n```\n")
    with pytest.raises(ValueError, match=r"docs/page.md:2: .*ran once"):
        block.clauses  # noqa: B018


@pytest.mark.parametrize(
    "text",
    [
        "make fly",
        "make run SPEED=1",
        "aws sqs purge-queue --queue URL",
        "aws sqs empty-queue",
        "python -m chaos --long",
    ],
)
def test_a_misspelt_command_is_found(text: str) -> None:
    with pytest.raises(AssertionError):
        check_spelling(text)

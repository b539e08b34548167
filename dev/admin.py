"""`make admin CMD="studio list"`: the admin function's commands, against the stack that `make run` runs."""

import json
import logging
import os
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from typing import Any

import msgspec

from chalicelib.errors import InvalidInput
from chalicelib.logs import JsonFormatter
from chalicelib.runtime.decoding import decode_values
from chalicelib.services.operations.commands import COMMANDS, describe
from chalicelib.services.operations.commands.base import Command
from chalicelib.workers.admin import CommandFailed, admin
from dev.errors import StackError
from dev.invocation import Context
from dev.options import Options, ensure_running

TIMEOUT_SECONDS = 900


def parse(words: Sequence[str]) -> Command:
    """The command that the words name. Ends the program if there is no such command, as argparse does."""
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        raise SystemExit(0)
    name = next((name for count in (2, 1) if (name := " ".join(words[:count])) in COMMANDS), "")
    if not name:
        print(_overview(), f"make admin: there is no command {' '.join(words[:2])}", sep="\n", file=sys.stderr)
        raise SystemExit(2)
    kind = COMMANDS[name]
    values = _parser(kind, name).parse_args(words[len(name.split()) :])
    return decode_values(vars(values), kind, strict=False)


def run(command: Command, options: Options) -> Any:
    """The function's result. Raises CommandFailed, or StackError if no stack is running."""
    os.environ.update(_environment(options))
    handler = logging.FileHandler(options.log("admin"))
    handler.setFormatter(JsonFormatter())
    logging.getLogger().handlers[:] = [handler]
    event = msgspec.json.decode(msgspec.json.encode(command))
    return admin(event, Context("ansel-local-admin", TIMEOUT_SECONDS))


def _parser(kind: type[Command], name: str) -> ArgumentParser:
    described = describe(kind)
    parser = ArgumentParser(prog=f"make admin CMD={name!r}", description=described["does"], argument_default=SUPPRESS)
    for field in msgspec.structs.fields(kind):
        schema = described["fields"][field.encode_name]
        kinds: dict[str, dict[str, Any]] = {"boolean": {"action": "store_true"}, "array": {"nargs": "+"}}
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=field.encode_name,
            required=field.required,
            help=schema["description"],
            **kinds.get(schema.get("type", ""), {"metavar": "VALUE"}),
        )
    return parser


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {kind.__doc__}" for name, kind in COMMANDS.items()]
    return "\n".join(['make admin CMD="..."; each takes --help', *lines])


def _environment(options: Options) -> dict[str, str]:
    ensure_running(options)
    return json.loads(options.admin_file.read_text())  # type: ignore[no-any-return]


def main() -> int:
    try:
        answer = run(parse(sys.argv[1:]), Options.from_environ(os.environ))
    except CommandFailed as failed:
        print(failed, file=sys.stderr)
    except InvalidInput as error:
        print("\n".join(f"{problem.field}: {problem.problem}" for problem in error.fields), file=sys.stderr)
    except StackError as error:
        print(f"make admin: {error}", file=sys.stderr)
    else:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())

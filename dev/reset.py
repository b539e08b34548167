"""`make reset`: deletes the local stack's data under LOCAL_DIR after asking, and nothing else in there."""

import os
import shutil
import sys
from pathlib import Path

from dev import process
from dev.errors import StackError
from dev.options import Options, is_locked, locked

OURS = (
    *("postgres", "postgres.new", "postgres.passwords", "secrets", "sandbox", "logs"),
    *("env", "parts.json", "psql_history", "lock"),
)
"""Everything that a stack writes; the lock, which prevents another one from starting meanwhile, comes last."""


def find(options: Options) -> list[Path]:
    """What can be deleted. Raises StackError while a stack is running."""
    if is_locked(options):
        raise StackError(f"a stack is running in {options.local_dir}; stop it with Ctrl-C first")
    return [path for name in OURS if os.path.lexists(path := options.local_dir / name)]


def delete(options: Options) -> list[str]:
    """Returns the names of files left in the folder because they are not the stack's."""
    with locked(options):
        for path in (options.local_dir / name for name in OURS):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    left = sorted(path.name for path in options.local_dir.iterdir())
    if not left and not options.local_dir.is_symlink():
        options.local_dir.rmdir()
    return left


def confirmed(options: Options) -> bool:
    if not sys.stdin.isatty():
        raise StackError("no terminal to ask for confirmation; YES=1 deletes without asking")
    answer = input(f"Delete the local database, its keys and its logs in {options.local_dir}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def reset(options: Options, *, ask: bool) -> str:
    """Reports in one line what was done."""
    if not find(options):
        return f"There is no local data in {options.local_dir}"
    if ask and not confirmed(options):
        return "Nothing was deleted"
    left = delete(options)
    kept = f"; kept what is not the stack's: {', '.join(left)}" if left else ""
    return f"Deleted the local data in {options.local_dir}{kept}"


def main() -> int:
    try:
        print(reset(Options.from_environ(os.environ), ask="--yes" not in sys.argv[1:]))
    except StackError as error:
        problem = str(error)
    except (EOFError, KeyboardInterrupt):
        problem = "nothing was deleted"
    except OSError as error:
        problem = process.reason(error)
    else:
        return 0
    print(f"make reset: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

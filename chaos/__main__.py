"""`python -m chaos [--quick | --short] [--scenario NAME] [--seed N]`: injects faults, compares; exits with 1 if bad."""

import argparse
import os
import platform
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks.table import Row, Table
from chaos import environment
from chaos.oracle import Difference
from chaos.scenario_kit import Size
from chaos.scenarios import SCENARIOS
from dev.errors import StackError

COLUMNS = ("scenario", "tries", "lost", "duplicated", "wrong", "seconds", "verdict")
SHOWN_NOTES = 10


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="few repetitions: shows that it works, proves little")
    form.add_argument("--short", action="store_true", help="fewer still, and the fastest scenarios only")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=None, help="repeats the same random faults")
    parser.add_argument("--times", type=int, default=None, help="this many repetitions instead")
    parser.add_argument("--logs", type=Path, default=Path("build/chaos"), help="folder for logs")
    options = parser.parse_args(arguments)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    print(f"seed {seed}, {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores")
    try:
        return _run(_sizes(options), seed, options.logs.absolute())
    except StackError as error:
        print(f"make chaos: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return 1


def _sizes(options: argparse.Namespace) -> dict[str, Size]:
    """The scenarios to run, and their sizes."""
    sizes = {}
    for name in options.scenario or SCENARIOS:
        entry = SCENARIOS[name]
        size = entry.quick if options.quick else entry.short if options.short else entry.full
        if size is not None:
            sizes[name] = size if options.times is None else replace(size, times=options.times)
    return sizes


def _run(sizes: Mapping[str, Size], seed: int, log_dir: Path) -> int:
    rows: list[Row] = []
    good = True
    with environment.running(log_dir) as running:
        for name, size in sizes.items():
            started = time.monotonic()
            proof = SCENARIOS[name].run(running, environment.chance_of(seed, name), size)
            found = proof.difference
            good = good and found.is_none
            rows.append((name, proof.tries, *_figures(found), int(time.monotonic() - started), _verdict(found)))
            print(f"{name}: {_verdict(found)} ({proof.tries})", flush=True)
            for note in found.notes[:SHOWN_NOTES]:
                print(f"  {note}", flush=True)
    print("\n" + Table(f"Seed {seed}", COLUMNS, rows).as_markdown(), flush=True)
    return 0 if good else 1


def _figures(found: Difference) -> tuple[int, int, int]:
    return found.lost, found.duplicated, found.wrong


def _verdict(found: Difference) -> str:
    return "exact" if found.is_none else "BAD"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks [--quick] [subject ...]`: measures, prints the tables, writes build/benchmarks.json."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    cold_start,
    engine,
    handlers,
    imports,
    keys,
    limits,
    mapping,
    memory,
    peers,
    records,
    round_trips,
    run_lists,
    server,
    small_runs,
    tick,
    tokens,
)
from benchmarks.server import Server
from benchmarks.table import Table

Subject = Callable[[bool], Sequence[Table]]
WITHOUT_DATABASE: dict[str, Subject] = {
    "imports": imports.measure,
    "tokens": tokens.measure,
    "mapping": mapping.measure,
}
ON_DATABASE: dict[str, Callable[[bool, Server], Sequence[Table]]] = {
    "records": records.measure,
    "handlers": handlers.measure,
    "peers": peers.measure,
    "limits": limits.measure,
    "round_trips": round_trips.measure,
    "run_lists": run_lists.measure,
    "engine": engine.measure,
    "small_runs": small_runs.measure,
    "tick": tick.measure,
    "memory": memory.measure,
    "cold_start": cold_start.measure,
    "keys": keys.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="subject", help=", ".join([*WITHOUT_DATABASE, *ON_DATABASE]))
    parser.add_argument("--quick", action="store_true", help="small samples: shows that it works, not how fast")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks.json"))
    options = parser.parse_args(arguments)
    known = [*WITHOUT_DATABASE, *ON_DATABASE]
    if unknown := [name for name in options.subjects if name not in known]:
        parser.error(f"{unknown[0]} is not a subject; there are {', '.join(known)}")
    tables = _measure(options.subjects or known, options.quick)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(_report(tables, options.quick), indent=2) + "\n")


def _measure(subjects: Sequence[str], quick: bool) -> dict[str, list[Table]]:
    measured: dict[str, list[Table]] = {}
    with ExitStack() as stack:
        running: Server | None = None
        for name in subjects:
            started = time.perf_counter()
            if name in WITHOUT_DATABASE:
                measured[name] = list(WITHOUT_DATABASE[name](quick))
            else:
                running = running or stack.enter_context(server.running())
                measured[name] = list(ON_DATABASE[name](quick, running))
            print(f"## {name} ({time.perf_counter() - started:.0f} s)\n", flush=True)
            for table in measured[name]:
                print(table.as_markdown(), end="\n\n", flush=True)
    return measured


def _report(tables: dict[str, list[Table]], quick: bool) -> dict[str, object]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "quick": quick,
        "subjects": {name: [table.as_json() for table in found] for name, found in tables.items()},
    }


if __name__ == "__main__":
    main()

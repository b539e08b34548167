"""What a cold start spends on importing: each entry module in fresh interpreters, and the packages that weigh most."""

import re
import subprocess
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import timing
from benchmarks.table import Row, Table

ROOT = Path(__file__).parent.parent
BASE = "chalice.app"
ENTRIES = ("app", "chalicelib.workers.tick", "chalicelib.workers.sync")
FORBIDDEN = ("boto3", "botocore", "aws_encryption_sdk")
HEAVIEST = 10
MILLISECONDS_PROGRAM = """
import sys, time
started = time.perf_counter()
import {module}
print((time.perf_counter() - started) * 1000, *(name for name in {forbidden} if name in sys.modules))
"""
IMPORT_TIME_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|( +)([\w.]+)")


def measure(quick: bool) -> list[Table]:
    rounds = 1 if quick else 15
    modules = (BASE, *ENTRIES)
    for module in modules:
        _run(module)  # writes the bytecode
    found: dict[str, list[list[str]]] = {module: [] for module in modules}
    works = {module: partial(lambda module: found[module].append(_run(module)), module) for module in modules}
    timing.interleaved(works, rounds=rounds)
    return [_times(found, rounds), _weights(1 if quick else 5)]


def _run(module: str) -> list[str]:
    """Milliseconds, then which of the forbidden packages it imported."""
    return _python("-c", MILLISECONDS_PROGRAM.format(module=module, forbidden=FORBIDDEN)).stdout.split()


def _times(found: dict[str, list[list[str]]], rounds: int) -> Table:
    taken = {module: median(float(ms) for ms, *_ in runs) for module, runs in found.items()}
    rows: list[Row] = []
    for module, runs in found.items():
        brought = sorted({name for _, *names in runs for name in names})
        rows.append((module, taken[module], taken[module] / taken[BASE], ", ".join(brought) or "none"))
    title = f"Import time in a fresh interpreter, bytecode available (medians of {rounds})"
    return Table(title, ("module", "ms", f"times {BASE}", f"of {', '.join(FORBIDDEN)}"), rows)


def _weights(rounds: int) -> Table:
    """What each package itself adds. Dependencies have rows of their own if they are heavy enough."""
    weights = {entry: _median_weights(entry, rounds) for entry in ENTRIES}
    heaviest = sorted(weights["app"], key=lambda package: -weights["app"][package][0])[:HEAVIEST]
    rows: list[Row] = []
    for package in heaviest:
        own, with_all = weights["app"][package]
        others = (weights[entry].get(package, (None, None))[0] for entry in ENTRIES[1:])
        rows.append((package, own, with_all, *others))
    title = f"The heaviest packages, ms by -X importtime, which slows imports itself (medians of {rounds})"
    columns = ("package", "app: own modules", "app: with what it imports", *(f"{name}: own" for name in ENTRIES[1:]))
    return Table(title, columns, rows)


def _median_weights(entry: str, rounds: int) -> dict[str, tuple[float, float]]:
    runs = [_weigh(_python("-X", "importtime", "-c", f"import {entry}").stderr) for _ in range(rounds)]
    return {
        package: (median(run[package][0] for run in runs), median(run[package][1] for run in runs))
        for package in runs[0]
        if all(package in run for run in runs)
    }


def _weigh(report: str) -> dict[str, tuple[float, float]]:
    """Milliseconds of each third-party package: its modules alone, and including their imports."""
    own: dict[str, float] = defaultdict(float)
    with_all: dict[str, float] = defaultdict(float)
    importers: list[tuple[int, str]] = []
    for line in reversed(report.splitlines()):  # a module is listed after its imports, which are indented deeper
        if not (match := IMPORT_TIME_LINE.match(line)):
            continue
        depth, package = len(match[3]), match[4].partition(".")[0]
        importers = [importer for importer in importers if importer[0] < depth]
        own[package] += int(match[1]) / 1000
        if package not in (name for _, name in importers):
            with_all[package] += int(match[2]) / 1000
        importers.append((depth, package))
    return {
        package: (ms, with_all[package])
        for package, ms in own.items()
        if package not in sys.stdlib_module_names and package != "app"
    }


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)

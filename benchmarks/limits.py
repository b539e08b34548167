"""How one key at its limit affects another studio: latencies alone, with that key, and with that key unlimited.

The key's requests are sent at a fixed rate to processes that stand for containers, whatever the responses are.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

from app import app
from benchmarks import handlers, timing
from benchmarks.handlers import CONNECTED, CONNECTIONS, LOG, bearer_of, context, event, quiet
from benchmarks.server import UNLIMITED, Server, configure
from benchmarks.table import Row, Table
from benchmarks.timing import percentile
from chalicelib.services.authentication import forget_callers

ALONE, LIMITED, UNBOUND = "alone", "with a key at its limit", "with the same key, unlimited"
LIMITS: dict[str, dict[str, str]] = {ALONE: {}, LIMITED: dict.fromkeys(UNLIMITED, ""), UNBOUND: UNLIMITED}
"""Settings; empty means the default."""
CONTAINERS = 4
PER_SECOND = 25
"""Per container, so in total five times the key's limit"""
SETTLE_SECONDS = 2.0
"""Until the allowed burst is used up"""

Pipes = Sequence[Connection]


def measure(quick: bool, server: Server) -> list[Table]:
    rounds, samples, runs = (1, 20, 500) if quick else (6, 300, 20_000)
    superuser = server.connect(server.urls.superuser)
    try:
        with quiet():
            other, busy = _studio(server), _studio(server)
            superuser.run(handlers.INSERT_RUNS, studio_id=busy[0], count=runs)
            superuser.run("ANALYZE")
            with _containers(busy[1]) as pipes:
                reset = partial(superuser.run, "DELETE FROM rate_limit")
                taken, answers = _measure(pipes, reset, other[1], rounds, samples)
    finally:
        superuser.close()
    return [_table(taken, answers, rounds * samples)]


def _studio(server: Server) -> tuple[object, str]:
    studio_id = server.new_studio()
    bearer = bearer_of(studio_id)
    for platform, tokens in CONNECTED.items():
        created = app(event("POST", CONNECTIONS, bearer, {"platform": platform, **tokens}), context())
        assert created["statusCode"] == 201, created
    return studio_id, bearer


@contextmanager
def _containers(bearer: str) -> Iterator[Pipes]:
    spawning = get_context("spawn")
    pairs = [spawning.Pipe() for _ in range(CONTAINERS)]
    processes = [spawning.Process(target=_serve, args=(child_end, bearer)) for _, child_end in pairs]
    for process in processes:
        process.start()
    try:
        yield [parent_end for parent_end, _ in pairs]
    finally:
        for parent_end, _ in pairs:
            parent_end.send("end")
        for process in processes:
            process.join()


def _serve(pipe: Connection, bearer: str) -> None:
    """Sends requests with the key under the limits it receives until told to stop; reports the count per status."""
    request = event("GET", LOG, bearer)
    with quiet():
        while (limits := pipe.recv()) != "end":
            configure(**limits)
            forget_callers()
            answers: Counter[int] = Counter()
            due = time.perf_counter()
            while not pipe.poll():
                due = max(due + 1 / PER_SECOND, time.perf_counter() - 1)
                time.sleep(max(0.0, due - time.perf_counter()))
                answers[app(request, context())["statusCode"]] += 1
            pipe.recv()
            pipe.send(answers)


def _measure(
    pipes: Pipes, reset: Callable[[], object], bearer: str, rounds: int, samples: int
) -> tuple[dict[str, list[float]], dict[str, Counter[int]]]:
    """The other studio's seconds per request, and the statuses of the key's; in turn, as `timing` does it."""
    taken: dict[str, list[float]] = {name: [] for name in LIMITS}
    answers: dict[str, Counter[int]] = {name: Counter() for name in LIMITS}
    names = list(LIMITS)
    call = partial(app, event("GET", CONNECTIONS, bearer), context())
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            limits = LIMITS[name]
            reset()
            for pipe in pipes if limits else ():
                pipe.send(limits)
            time.sleep(SETTLE_SECONDS)
            for _ in range(samples):
                forget_callers()
                taken[name].append(timing.seconds(call))
            for pipe in pipes if limits else ():
                pipe.send("stop")
                answers[name] += pipe.recv()
    assert set().union(*answers.values()) <= {200, 429}, answers
    return taken, answers


def _table(taken: dict[str, list[float]], answers: dict[str, Counter[int]], samples: int) -> Table:
    alone = median(taken[ALONE])
    rows: list[Row] = []
    for name, times in taken.items():
        total = sum(answers[name].values())
        refused = 100 * answers[name][429] / total if total else None
        rows.append((name, median(times) * 1000, percentile(times, 99) * 1000, median(times) / alone, total, refused))
    title = f"Another studio's GET {CONNECTIONS} while one key requests its log ({samples:,} each)"
    columns = ("another studio", "p50 ms", "p99 ms", "times alone", "requests with the key", "refused, %")
    note = (
        f"The key's requests go to {CONTAINERS} processes besides the measured one, at {PER_SECOND} per second each."
        " The other studio's key is looked up each time. All share this machine's cores, unlike containers."
    )
    return Table(title, columns, rows, [note])

"""Times competitors in turn, so that the machine's other load affects all of them alike."""

import gc
import time
from collections.abc import Callable, Mapping
from statistics import quantiles

Work = Callable[[], object]


def seconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(
    competitors: Mapping[str, Work],
    *,
    rounds: int,
    samples: int = 1,
    prepare: Mapping[str, Work] | None = None,
) -> dict[str, list[float]]:
    """Seconds of every call: each round calls each competitor `samples` times, and a different one goes first.

    A competitor's entry in `prepare` runs untimed before each of its calls.
    """
    taken: dict[str, list[float]] = {name: [] for name in competitors}
    names = list(competitors)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()  # one competitor's garbage must not be collected at another's expense
            for _ in range(samples):
                if prepare:
                    prepare[name]()
                taken[name].append(seconds(competitors[name]))
    return taken


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]

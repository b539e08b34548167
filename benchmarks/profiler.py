"""Where the time goes: wall and CPU seconds of chosen functions, each excluding the chosen functions it calls."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

Named = str | Callable[..., str]


@dataclass
class Stage:
    """`cpu` is this thread's; during the rest of `wall` it waited for a server or for the CPU."""

    calls: int = 0
    wall: float = 0.0
    cpu: float = 0.0


@dataclass(frozen=True)
class Watched:
    """A function, given by where callers look it up. The stage's name is fixed or derived from the call's arguments."""

    owner: Any
    attribute: str
    stage: Named


@dataclass
class Profiler:
    """Functions are wrapped, never replaced, so the real product is measured. For one thread."""

    stages: dict[str, Stage] = field(default_factory=dict)
    _open: list[list[float]] = field(default_factory=list)
    """What nested calls took, for each call in progress."""

    @contextmanager
    def watching(self, functions: Sequence[Watched]) -> Iterator[None]:
        originals = [(each, getattr(each.owner, each.attribute)) for each in functions]
        for each, original in originals:
            setattr(each.owner, each.attribute, self._wrapped(original, each.stage))
        try:
            yield
        finally:
            for each, original in originals:
                setattr(each.owner, each.attribute, original)

    def wall(self, stage: str) -> float:
        return self.stages.get(stage, Stage()).wall

    def _wrapped(self, function: Callable[..., Any], named: Named) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            below = [0.0, 0.0]
            self._open.append(below)
            started, cpu_started = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                wall, cpu = time.perf_counter() - started, time.thread_time() - cpu_started
                self._open.pop()
                self._add(named if isinstance(named, str) else named(*args, **kwargs), wall - below[0], cpu - below[1])
                if self._open:
                    self._open[-1][0] += wall
                    self._open[-1][1] += cpu

        return timed

    def _add(self, name: str, wall: float, cpu: float) -> None:
        stage = self.stages.setdefault(name, Stage())
        stage.calls += 1
        stage.wall += wall
        stage.cpu += cpu

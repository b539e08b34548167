"""The assembled sandbox: platforms behind one port, faults in front of them, a log of requests."""

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from dev.sandbox import control
from dev.sandbox.clock import clock_of
from dev.sandbox.faults import Fault, Faults
from dev.sandbox.google import Google
from dev.sandbox.meta import Meta
from dev.sandbox.pinterest import Pinterest
from dev.sandbox.request_log import RequestLog
from dev.sandbox.routing import Control, PathValues, Platform, Route, Router
from dev.sandbox.server import Server
from dev.sandbox.wire import Refusal, Request, Response, as_json
from dev.sandbox.yelp import Yelp


class Sandbox:
    """Platforms at `{url}/{their host}/{their path}`. Use it as a context manager, or start and stop it.

    `state_dir` keeps what must outlive a restart. `today` is the day around which data are generated
    and on which changes happen; it defaults to the machine's. Tokens always expire by the machine's clock.
    """

    def __init__(self, port: int = 0, *, state_dir: Path | None = None, today: date | None = None) -> None:
        self.google = Google(clock_of(today), state_dir)
        self.meta = Meta(today, state_dir)
        self.pinterest = Pinterest(state_dir)
        self.yelp = Yelp()
        self.faults = Faults()
        self.requests = RequestLog()
        self._platforms: dict[str, Platform] = {}
        self._routers: dict[str, Router] = {}
        controls = list(self._controls())
        platforms: tuple[Platform, ...] = (self.google, self.meta, self.pinterest, self.yelp)
        for platform in platforms:
            controls += platform.controls()
            for host, routes in platform.hosts().items():
                self._platforms[host], self._routers[host] = platform, Router(routes)
        self._control = Router(control.routes(controls))
        self._server = Server(self._answer, port)

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> "Sandbox":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def add_fault(self, **fault: Any) -> None:
        """Makes requests fail; the arguments are the fields of `Fault`. Raises ValueError."""
        try:
            self.faults.add(Fault(**fault))
        except TypeError as error:
            raise ValueError(str(error)) from None

    def clear_faults(self) -> None:
        self.faults.clear()

    def _controls(self) -> tuple[Control, ...]:
        return (
            Control("GET", "/faults", lambda: {"faults": self.faults.list()}),
            Control("POST", "/faults", self.add_fault),
            Control("DELETE", "/faults", self.clear_faults),
            Control("GET", "/requests", lambda: {"requests": self.requests.list(), "counts": self.requests.counts()}),
            Control("DELETE", "/requests", self.requests.clear),
        )

    def _answer(self, request: Request) -> Response:
        if request.host == control.HOST:
            found = self._control.find(request.method, request.path)
            return _routed(found, request) or as_json({"error": "no such control route"}, status=404)
        if request.host not in self._routers:
            served = ", ".join(self._routers)
            return as_json({"error": f"no host {request.host!r} here; served hosts: {served}"}, status=404)
        return self._answer_as_platform(request)

    def _answer_as_platform(self, request: Request) -> Response:
        failure = partial(self._platforms[request.host].failure, request.host)
        found = self._routers[request.host].find(request.method, request.path)

        def truly() -> Response:
            return _routed(found, request) or failure(404)

        fault = self.faults.take(request)
        response = fault.apply(truly, failure) if fault else truly()
        status = 0 if response.cut == "reset" else response.status
        self.requests.add(found[0].name if found else "unknown", request, status)
        return response


def _routed(found: tuple[Route, PathValues] | None, request: Request) -> Response | None:
    if found is None:
        return None
    route, values = found
    try:
        return route.answer(request, values)
    except Refusal as refusal:
        return refusal.response

"""One SELECT in a tenant transaction: the product's driver and plain pg8000, without and with network latency."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median
from uuid import UUID

import pg8000.native

from benchmarks import timing
from benchmarks.server import Server, lead_product_to
from benchmarks.slow_proxy import SlowProxy
from benchmarks.table import Row, Table
from chalicelib.data.postgres.database import read, transaction
from chalicelib.data.postgres.query import Query
from dev.ports import HOST
from dev.tenants import act_as

DELAY_SECONDS = 0.001
SQL = "SELECT json_build_object('studios', count(*)) FROM studio WHERE name = :name"
NAME = "Benchmark"
STUDIOS: Query[dict[str, int]] = Query(SQL, dict[str, int])
PLAIN = "plain pg8000"
NOTE = f"{PLAIN} runs BEGIN, the tenant setting, the SELECT and COMMIT; round trips are counted on the wire."

Works = Mapping[str, Callable[[], object]]


def measure(quick: bool, server: Server) -> list[Table]:
    rounds, samples = (2, 10) if quick else (10, 50)
    studio_id = server.new_studio()
    with _clients(server, server.urls.joint, studio_id) as works:
        near = timing.interleaved(works, rounds=rounds, samples=samples)
    with SlowProxy(server.port, DELAY_SECONDS) as proxy:
        address = f"{HOST}:{proxy.port}"
        with _clients(server, server.urls.joint.replace(f"{HOST}:{server.port}", address), studio_id) as works:
            trips = {name: _round_trips(proxy, work) for name, work in works.items()}
            far = timing.interleaved(works, rounds=rounds, samples=samples)
    rows = [*_rows("loopback", near, trips), *_rows("1 ms each way", far, trips)]
    title = f"A tenant transaction of one SELECT with a parameter (medians of {rounds * samples})"
    return [Table(title, ("network", "client", "round trips", "ms", f"of {PLAIN}"), rows, [NOTE])]


@contextmanager
def _clients(server: Server, url: str, studio_id: UUID) -> Iterator[Works]:
    """All competitors, each with an open connection to `url`."""
    lead_product_to(url)
    plain = server.connect(url)
    works: Works = {
        PLAIN: partial(_plain, plain, studio_id),
        "transaction()": partial(_in_transaction, studio_id),
        "read()": partial(read, studio_id, STUDIOS, name=NAME),
    }
    for work in works.values():
        assert work() == {"studios": 1}
    yield works
    plain.close()
    lead_product_to(server.urls.joint)


def _plain(connection: pg8000.native.Connection, studio_id: UUID) -> object:
    connection.run("BEGIN")
    act_as(connection, studio_id, in_transaction=True)
    rows = connection.run(SQL, name=NAME)
    connection.run("COMMIT")
    return rows[0][0] if rows else None


def _in_transaction(studio_id: UUID) -> object:
    with transaction(studio_id) as tx:
        return tx.run(STUDIOS, name=NAME)


def _round_trips(proxy: SlowProxy, work: Callable[[], object]) -> int:
    before = proxy.round_trips
    work()
    return proxy.round_trips - before


def _rows(network: str, taken: Mapping[str, list[float]], trips: Mapping[str, int]) -> list[Row]:
    plain = median(taken[PLAIN])
    return [(network, name, trips[name], median(of) * 1000, median(of) / plain) for name, of in taken.items()]

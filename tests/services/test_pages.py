"""Pages that hold records of several types: stored together, parents first, counted as one."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pg8000.native
import pytest

from chalicelib.data.postgres.driver import query_statistics
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.platforms.core.items import Gone, Items, SetAside, Skipped
from chalicelib.platforms.core.records import AdCampaignRecord, BookingRecord, Record
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.registry import LOADED
from chalicelib.services.streams import TABLES
from chalicelib.services.sync.pages import split
from dev.sandbox import Sandbox
from tests.conftest import Api, LogLines, Queue
from tests.data.pages import (
    NOON,
    TABLE_OF,
    ContentMetricRecord,
    ContentRecord,
    ad,
    booking,
    campaign,
    column,
    content,
    metric,
)
from tests.services.conftest import Studio, connect, execute, make_due


class Cursor(msgspec.Struct, frozen=True):
    page: int


class Item(msgspec.Struct, frozen=True):
    id: str


class Context(msgspec.Struct, frozen=True):
    title: str = "Read again"


def items(record: type[Record], parse: Callable[[Item, Context], Any]) -> Items[Any, Any]:
    return Items(record=record, shape=Item, context=Context, parse=parse)


BOOKINGS = items(BookingRecord, lambda item, context: booking(item.id, title=context.title))
CAMPAIGNS = items(AdCampaignRecord, lambda item, context: campaign(item.id, name=context.title))
CONTENTS = items(ContentRecord, lambda item, context: content(item.id))
METRICS = items(ContentMetricRecord, lambda item, context: metric(item.id))


class Feed:
    """A stream with pages written by a test."""

    def __init__(self) -> None:
        self.pages: list[Page[Cursor]] = []

    def stream(self, name: str, *of: Items[Any, Any]) -> Stream[Cursor]:
        return Stream(
            name=name,
            items=of,
            cursor=Cursor,
            fetch=lambda client, cursor: self.pages.pop(0),
            frequency="daily",
            scopes=GOOGLE.streams[0].scopes,
            complete=True,
        )

    def page(self, *records: Record, last: bool = True, **left_out: Any) -> None:
        """Without a cursor the next run reads the stream from its start."""
        self.pages.append(Page(records, None if last else Cursor(len(self.pages)), last, **left_out))


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    feed = Feed()
    streams = (
        *GOOGLE.streams,
        feed.stream("posts", CONTENTS, METRICS),
        feed.stream("mixed", BOOKINGS, CAMPAIGNS),
    )
    for record, table in TABLE_OF.items():
        monkeypatch.setitem(TABLES, record, table)
    monkeypatch.setitem(LOADED, "google", msgspec.structs.replace(GOOGLE, streams=streams))
    yield feed
    assert feed.pages == []


@pytest.fixture
def studio(feed: Feed, api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    return connect(api, queue)


def statuses(superuser: pg8000.native.Connection) -> dict[str, dict[str, str]]:
    return {table: column(superuser, table, "status") for table in ("booking", "ad_campaign")}


def test_parents_are_stored_before_children_whatever_the_order_of_the_page(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection
) -> None:
    feed.page(metric("a", views=7), content("a", caption="Spring"), metric("a", 5, NOON.replace(hour=1)), content("b"))
    records = studio.sync("posts")["records"]
    assert (records["seen"], records["created"], records["updated"]) == (4, 4, 0)
    assert column(superuser, "content", "caption") == {"a": "Spring", "b": None}
    of_content = "SELECT c.external_id, m.views FROM content_metric AS m JOIN content AS c ON c.id = m.content_id"
    assert superuser.run(f"{of_content} ORDER BY m.measured_at") == [["a", 5], ["a", 7]]


def test_counters_are_summed_over_the_types(studio: Studio, feed: Feed) -> None:
    feed.page(content("a"), content("b"), metric("a"))
    studio.sync("posts")
    feed.page(content("a", caption="New"), content("b"), content("c"), metric("a", views=11), last=False)
    feed.page(metric("c"))
    records = studio.sync("posts")["records"]
    assert {name: records[name] for name in ("seen", "created", "updated", "unchanged")} == {
        "seen": 5,
        "created": 2,
        "updated": 2,
        "unchanged": 1,
    }


def test_a_metric_of_unknown_content_creates_the_content(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection
) -> None:
    feed.page(metric("a"), last=False)
    feed.page(content("a", kind="reel", caption="Spring"))
    assert studio.sync("posts")["records"]["updated"] == 1
    assert superuser.run("SELECT kind, caption FROM content") == [["reel", "Spring"]]


def test_a_page_is_stored_completely_or_not_at_all(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection
) -> None:
    feed.page(content("a"), metric("a", views=2**70))
    run = studio.start("posts")
    with pytest.raises(Exception, match="22003"):
        execute(studio, run["id"])
    assert superuser.run("SELECT count(*) FROM content") == [[0]]
    feed.page(content("a"), metric("a"))
    make_due(superuser, run["id"])
    superuser.run("UPDATE account_position SET resume_at = now()")
    assert execute(studio, run["id"]) == "succeeded"


def test_an_undeclared_record_type_is_an_internal_error(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    feed.page(content("a"), ad("a"))
    run = studio.start("posts")
    with pytest.raises(TypeError, match="the stream posts yields AdMetricRecord, which it does not declare"):
        execute(studio, run["id"])
    failed_run = studio.run(run["id"])
    assert (failed_run["status"], failed_run["error"]["code"]) == ("deferred", "internal_error")
    assert superuser.run("SELECT count(*) FROM content") == [[0]]
    assert log_lines.named("run.crashed")


def test_skipped_records_must_be_of_a_declared_type_too() -> None:
    stream = Feed().stream("mixed", BOOKINGS, CAMPAIGNS)
    for left_out in (
        {"deleted": [Gone("a", ContentRecord)]},
        {"skipped": [Skipped(external_id="a", reason="x", record=ContentRecord)]},
        {"set_aside": [SetAside(external_id="a", field="", reason="x", content=b"", record=ContentRecord)]},
    ):
        with pytest.raises(TypeError, match="ContentRecord"):
            split(stream, Page([], None, True, **left_out))


def test_a_deletion_names_its_record_type(studio: Studio, feed: Feed, superuser: pg8000.native.Connection) -> None:
    feed.page(*(make(key) for make in (booking, campaign) for key in "abc"))
    studio.sync("mixed")
    remaining = [booking("a"), booking("c"), campaign("b"), campaign("c")]
    feed.page(*remaining, deleted=[Gone("b"), Gone("a", AdCampaignRecord)])
    assert studio.sync("mixed")["records"]["deleted"] == 2
    assert statuses(superuser) == {
        "booking": {"a": "confirmed", "b": "cancelled", "c": "confirmed"},
        "ad_campaign": {"a": "archived", "b": "paused", "c": "paused"},
    }


def test_a_complete_read_sweeps_each_type_by_its_own_ids(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection
) -> None:
    feed.page(*(make(key) for make in (booking, campaign) for key in "abc"))
    studio.sync("mixed")
    feed.page(booking("a"), campaign("b"), last=False)
    feed.page(
        campaign("c"),
        skipped=[Skipped(external_id="b", reason="x")],
        set_aside=[SetAside(external_id="a", field="", reason="x", content=b"{}", record=AdCampaignRecord)],
    )
    assert studio.sync("mixed")["records"]["deleted"] == 1
    assert statuses(superuser) == {
        "booking": {"a": "confirmed", "b": "confirmed", "c": "cancelled"},
        "ad_campaign": {"a": "paused", "b": "paused", "c": "paused"},
    }


def test_too_many_missing_rows_hold_back_deletions_of_their_type_only(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection
) -> None:
    feed.page(*(booking(f"b{number}") for number in range(30)), campaign("a"), campaign("b"))
    studio.sync("mixed")
    feed.page(campaign("a"))
    records = studio.sync("mixed")["records"]
    assert records["deleted"] == 1
    assert statuses(superuser)["ad_campaign"] == {"a": "paused", "b": "archived"}
    assert set(statuses(superuser)["booking"].values()) == {"confirmed"}


def test_records_are_skipped_in_the_table_of_their_type(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection
) -> None:
    feed.page(booking("a"), campaign("a"))
    studio.sync("mixed")
    feed.page(booking("a"), skipped=[Skipped(external_id="a", reason="x", record=AdCampaignRecord)])
    studio.sync("mixed")
    assert column(superuser, "booking", "skip_reason") == {"a": None}
    assert superuser.run("SELECT table_name, reason FROM skipped_record") == [["ad_campaign", "x"]]
    feed.page(skipped=[Skipped(external_id="a", reason="y")], set_aside=[])
    studio.sync("mixed")
    assert column(superuser, "booking", "skip_reason") == {"a": "y"}


def test_a_set_aside_record_is_retried_as_its_type(
    studio: Studio, feed: Feed, superuser: pg8000.native.Connection
) -> None:
    content = msgspec.json.encode({"item": {"id": "a"}, "context": {}})
    odd = [
        SetAside(external_id="a", field="", reason="x", content=content, record=record)
        for record in (AdCampaignRecord, BookingRecord)
    ]
    feed.page(set_aside=odd, last=False)
    feed.page(booking("other"))
    assert studio.sync("mixed")["records"]["setAside"] == 2
    answer = studio.api.post("/api/sync/google/set-aside/retry", {"syncType": "mixed"})
    assert (answer.status, answer.json) == (200, {"retried": 2, "stored": 2, "setAside": 0}), answer.text
    assert column(superuser, "ad_campaign", "name") == {"a": "Read again"}
    assert column(superuser, "booking", "title") == {"a": "Read again", "other": "Wedding"}


def test_one_statement_stores_all_records_of_a_type(studio: Studio, feed: Feed) -> None:
    def statements(*records: Record) -> int:
        feed.page(*records)
        run = studio.start("posts")
        with query_statistics() as statistics:
            assert execute(studio, run["id"]) == "succeeded"
        return len(statistics.statements)

    posts = [content(str(number)) for number in range(50)]
    statements()
    few, alone, both = (
        statements(posts[0]),
        statements(*posts),
        statements(*posts, *(metric(str(n)) for n in range(50))),
    )
    assert alone == few
    assert both == alone + 1


def test_every_stream_declares_the_counter_of_each_outcome() -> None:
    raws = [msgspec.Raw(b'{"id": "a"}'), msgspec.Raw(b'{"id": 5}')]
    batch = BOOKINGS.read(raws, Context())
    batch.extend(CAMPAIGNS.read(raws, Context()))
    page: Page[Cursor] = Page.of(batch, None, last=True)
    booked, advertised = split(Feed().stream("mixed", BOOKINGS, CAMPAIGNS), page)
    assert (len(booked.records), len(booked.set_aside)) == (1, 1)
    assert (len(advertised.records), len(advertised.set_aside)) == (1, 1)

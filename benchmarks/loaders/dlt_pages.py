"""Reads the source's calendar page by page and merges it with dlt. Reads its order from stdin; prints seconds."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import dlt  # type: ignore[import-not-found,unused-ignore]
import pyarrow  # type: ignore[import-not-found,unused-ignore]
from dlt.common.json import json as fast_json  # type: ignore[import-not-found,unused-ignore]
from dlt.sources.helpers import requests  # type: ignore[import-not-found,unused-ignore]

MOMENTS = ("starts_at", "ends_at", "booked_at", "source_updated_at")
TEXTS = ("external_id", "title", "event_type", "event_date", "status", "client_name", "client_email", "location")
MORE_TEXTS = ("notes", "url", "series_id")
SCHEMA = pyarrow.schema(
    [
        *((name, pyarrow.string()) for name in (*TEXTS, *MORE_TEXTS)),
        *((name, pyarrow.timestamp("us", tz="UTC")) for name in MOMENTS),
        ("all_day", pyarrow.bool_()),
    ]
)
WORDS = ("wedding", "engage", "newborn", "family", "portrait")

Bookings = list[dict[str, Any]]


def main() -> None:
    order = json.load(sys.stdin)
    pipeline = dlt.pipeline(
        pipeline_name=order["dataset"],
        pipelines_dir=order["folder"],
        destination=dlt.destinations.postgres(order["database_url"]),
        dataset_name=order["dataset"],
    )
    bookings = pages(order["url"], order["token"])
    started = time.perf_counter()
    pipeline.run(
        as_tables(bookings) if order["form"] == "tables" else bookings,
        table_name="booking",
        primary_key="external_id",
        write_disposition="merge",
        # dlt's own default for dicts, and a faster setting for tables.
        loader_file_format="csv" if order["form"] == "tables" else "insert_values",
    )
    print(json.dumps({"seconds": time.perf_counter() - started}))


def as_tables(pages: Iterable[Bookings]) -> Iterator[pyarrow.Table]:
    """Data that dlt does not inspect row by row."""
    for page in pages:
        for row in page:
            row |= {name: datetime.fromisoformat(row[name]) for name in MOMENTS}
        yield pyarrow.Table.from_pylist(page, SCHEMA)


def pages(url: str, token: str) -> Iterator[Bookings]:
    session = requests.Client().session
    page_token = ""
    while True:
        answer = session.get(url + page_token, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        page = fast_json.loadb(answer.content)
        yield [booking(event) for event in page["items"]]
        if "nextPageToken" not in page:
            return
        page_token = f"&pageToken={page['nextPageToken']}"


def booking(event: dict[str, Any]) -> dict[str, Any]:
    """The product's columns."""
    title = event["summary"]
    client: dict[str, Any] = next(iter(event.get("attendees", ())), {})
    return {
        "external_id": event["id"],
        "title": title,
        "event_type": next((word for word in WORDS if word in title.lower()), "other"),
        "event_date": event["start"]["dateTime"][:10],
        "starts_at": event["start"]["dateTime"],
        "ends_at": event["end"]["dateTime"],
        "all_day": False,
        "status": event["status"],
        "booked_at": event["created"],
        "client_name": client.get("displayName"),
        "client_email": client.get("email"),
        "location": event.get("location"),
        "notes": event.get("description"),
        "url": event["htmlLink"],
        "series_id": event.get("recurringEventId"),
        "source_updated_at": event["updated"],
    }


if __name__ == "__main__":
    main()

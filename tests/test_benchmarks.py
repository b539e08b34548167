"""The benchmarks run; their measurements are not asserted."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from benchmarks import null_queue, timing
from benchmarks.__main__ import main
from benchmarks.competitors import singer_schema
from benchmarks.imports import _weigh
from benchmarks.profiler import Profiler, Watched
from benchmarks.table import Table
from chalicelib.platforms.core.records import BookingRecord
from tests.conftest import ROOT


def test_a_subject_prints_its_table_and_writes_it_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "build" / "benchmarks.json"
    main(["tokens", "--quick", "--output", str(output)])
    printed = capsys.readouterr().out
    assert "| SDK message, signed |" in printed
    report = json.loads(output.read_text())
    assert (report["quick"], list(report["subjects"])) == (True, ["tokens"])
    (table,) = report["subjects"]["tokens"]
    assert table["title"] in printed
    stored = {row["layout"]: row["stored bytes"] for row in table["rows"]}
    assert stored["vault"] == 125 + 45
    assert stored["vault"] < stored["SDK message"] < stored["SDK message, signed"]
    assert all(row["seal, microseconds"] > 0 for row in table["rows"])


def test_subjects_on_the_database_run(tmp_path: Path) -> None:
    """In a process of its own: they lead the settings to a server of their own."""
    output = tmp_path / "benchmarks.json"
    subjects = ["records", "peers", "engine", "small_runs"]
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output), *subjects]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(json.loads(output.read_text())["subjects"]) == subjects


def test_an_unknown_subject_is_rejected_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tokens", "speed"])
    assert "speed is not a subject; there are imports, tokens, mapping, records" in capsys.readouterr().err


def test_competitors_alternate_and_each_goes_first_in_turn() -> None:
    calls: list[str] = []
    competitors = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    prepare = {name: lambda name=name: calls.append(f"{name} gets ready") for name in ("a", "b")}
    taken = timing.interleaved(competitors, rounds=2, prepare=prepare)
    assert calls[1::2] == ["a", "b", "b", "a"]
    assert calls[0::2] == [f"{name} gets ready" for name in calls[1::2]]
    assert {name: len(times) for name, times in taken.items()} == {"a": 2, "b": 2}


def test_a_table_shows_three_digits_and_aligns_numbers_to_the_right() -> None:
    table = Table("Speed", ("who", "rows", "ratio"), [("we", 12345, 0.5), ("they", 7, 1234.5), ("none", None, 12.34)])
    assert table.as_markdown().splitlines() == [
        "**Speed**",
        "",
        "| who  |   rows | ratio |",
        "| ---- | -----: | ----: |",
        "| we   | 12,345 | 0.500 |",
        "| they |      7 | 1,234 |",
        "| none |        |  12.3 |",
    ]


def test_import_times_add_up_by_package_without_the_standard_library() -> None:
    report = """import time: self [us] | cumulative | imported package
import time:      1000 |       1000 |     json.decoder
import time:      2000 |       3000 |     asn1crypto.core
import time:       500 |       9500 |   asn1crypto
import time:      4000 |      13500 | msgspec
import time:       200 |        200 | asn1crypto.x509
"""
    assert _weigh(report) == {"asn1crypto": (2.7, 9.7), "msgspec": (4.0, 13.5)}


class Kitchen:
    def cook(self, dish: str) -> str:
        time.sleep(0.02)
        return self.wash() + dish

    def wash(self) -> str:
        time.sleep(0.05)
        return "clean "


def test_a_stage_is_timed_without_nested_stages_and_waiting() -> None:
    watch = Profiler()
    functions = [Watched(Kitchen, "cook", lambda kitchen, dish: f"cook {dish}"), Watched(Kitchen, "wash", "wash")]
    started = time.perf_counter()
    with watch.watching(functions):
        assert Kitchen().cook("soup") == "clean soup"
        assert Kitchen().wash() == "clean "
    elapsed = time.perf_counter() - started
    assert Kitchen().cook("rice") == "clean rice"  # watched no more
    assert {name: stage.calls for name, stage in watch.stages.items()} == {"wash": 2, "cook soup": 1}
    assert 0.12 <= watch.wall("cook soup") + watch.wall("wash") <= elapsed
    assert all(stage.cpu < stage.wall for stage in watch.stages.values())


def test_a_function_that_raises_is_timed_as_well() -> None:
    watch = Profiler()
    with watch.watching([Watched(Kitchen, "wash", "wash")]), pytest.raises(TypeError):
        Kitchen.wash()  # type: ignore[call-arg]
    assert watch.stages["wash"].calls == 1


def test_the_null_queue_accepts_messages_like_sqs() -> None:
    with null_queue.running() as url:
        sqs = boto3.client(
            "sqs", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        answer = sqs.send_message_batch(QueueUrl=f"{url}/1/any", Entries=[{"Id": "0", "MessageBody": "hello"}])
        sqs.close()
    (taken,) = answer["Successful"]
    assert (taken["Id"], taken["MD5OfMessageBody"]) == ("0", hashlib.md5(b"hello", usedforsecurity=False).hexdigest())


def test_singer_messages_have_a_schema_for_every_field_of_a_booking() -> None:
    properties = singer_schema()["schema"]["properties"]
    assert list(properties) == list(BookingRecord.__struct_fields__)
    assert properties["starts_at"] == {"type": ["string", "null"], "format": "date-time"}
    assert properties["all_day"] == {"type": ["boolean", "null"]}

"""The benchmarks run; what they measure is nobody's to assert."""

import json
from pathlib import Path

import pytest

from benchmarks import timing
from benchmarks.__main__ import main
from benchmarks.imports import _weigh
from benchmarks.table import Table


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


def test_an_unknown_subject_is_refused_and_the_known_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tokens", "speed"])
    assert "speed is not a subject; there are imports, tokens, records" in capsys.readouterr().err


def test_contenders_take_turns_and_each_goes_first_in_its_round() -> None:
    calls: list[str] = []
    contenders = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    prepare = {name: lambda name=name: calls.append(f"{name} gets ready") for name in ("a", "b")}
    taken = timing.interleaved(contenders, rounds=2, prepare=prepare)
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


def test_import_times_add_up_by_package_and_leave_the_standard_library_out() -> None:
    report = """import time: self [us] | cumulative | imported package
import time:      1000 |       1000 |     json.decoder
import time:      2000 |       3000 |     asn1crypto.core
import time:       500 |       9500 |   asn1crypto
import time:      4000 |      13500 | msgspec
import time:       200 |        200 | asn1crypto.x509
"""
    assert _weigh(report) == {"asn1crypto": (2.7, 9.7), "msgspec": (4.0, 13.5)}

"""docs/operations.md names only things that exist: alarms, commands, statements, events, headings."""

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.runtime.decoding import decode_values
from chalicelib.services.operations.commands import COMMANDS
from deploy import health_check, template
from tests.conftest import ROOT
from tests.deploy.templates import transformed
from tests.dev.runbooks import OPERATIONS, read_runbooks

RUNBOOKS = read_runbooks()
VALUES = {"STUDIO": str(UUID(int=1)), "KEY": str(UUID(int=2)), "TIME": datetime(2026, 1, 1, tzinfo=UTC).isoformat()}


def slug(heading: str) -> str:
    """GitHub's anchor for a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


def test_every_alarm_leads_to_a_runbook() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (.+) \|$", RUNBOOKS["Alarms"].text, re.MULTILINE)
    made = [*transformed("prod")["Resources"].values(), *template.read(health_check.TEMPLATE)["Resources"].values()]
    alarms = [resource for resource in made if resource["Type"] == "AWS::CloudWatch::Alarm"]
    told = {alarm["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("ansel-${Stage}-"): alarm for alarm in alarms}
    assert [name for name, _ in rows] == list(dict.fromkeys(name for name, _ in rows))
    assert {name for name, _ in rows} == set(told)
    for name, cell in rows:
        titles = re.findall(r"\[(.+?)\]\(#", cell)
        assert titles and set(titles) <= set(RUNBOOKS)
        named = re.search(r"Runbook - (.+)\.", told[name]["Properties"]["AlarmDescription"])
        assert named is None or named[1] in [title[0].lower() + title[1:] for title in titles]


@pytest.mark.parametrize("title", [title for title, runbook in RUNBOOKS.items() if runbook.commands()])
def test_every_command_exists(title: str) -> None:
    for command in RUNBOOKS[title].commands():
        kind = COMMANDS[command.pop("command")]
        decode_values({name: VALUES.get(str(value), value) for name, value in command.items()}, kind)


def test_every_resource_and_output_exists() -> None:
    text, made = OPERATIONS.read_text(encoding="utf-8"), transformed("prod")
    assert set(re.findall(r"\$\(resource (\w+)\)", text)) <= set(made["Resources"])
    assert set(re.findall(r"\$\(output (\w+)\)", text)) <= set(made["Outputs"])


def test_every_statement_runs(superuser: pg8000.native.Connection) -> None:
    statements = [statement for runbook in RUNBOOKS.values() for statement in runbook.statements()]
    assert len(statements) >= 3
    for statement in statements:
        assert superuser.run(statement) is not None


def test_every_queried_event_is_logged() -> None:
    logged = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    text = OPERATIONS.read_text(encoding="utf-8")
    named = re.findall(r"event (?:= |in \[)((?:\"[\w.]+\",? ?)+)", text)
    events = {event for names in named for event in re.findall(r"\"([\w.]+)\"", names)}
    assert len(events) > 10
    assert [event for event in sorted(events) if f"`{event}`" not in logged] == []


@pytest.mark.parametrize("page", ["operations.md", "security.md"])
def test_every_link_has_a_target(page: str) -> None:
    folder = ROOT / "docs"
    for target in re.findall(r"\]\(([^)\s]+)\)", (folder / page).read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            there = folder / (path or page)
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), target

"""docs/adding.md: the places to touch are all there, counted on an example of each kind."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "adding.md"
PLATFORMS = ROOT / "docs" / "platforms" / "adding.md"
SEARCHED = ("app.py", "chalicelib", "migrations", "deploy", ".chalice", "dev")
NOT_SEARCHED = ("dev/sandbox/", "tests/", "docs/")
READ = {".py", ".sql", ".json", ".yaml"}
LINK = re.compile(r"\]\(([^)#]+)\)")
ROW = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    heading: str
    named: re.Pattern[str]
    """The example's name, as its places spell it"""
    elsewhere: tuple[str, ...] = ()
    """Files that have the name for another reason"""
    page: Path = PAGE

    @property
    def text(self) -> str:
        whole = self.page.read_text("utf-8")
        return (
            whole
            if self.page == PLATFORMS
            else re.split(r"^## ", whole.split(f"## {self.heading}\n")[1], flags=re.M)[0]
        )

    @property
    def table(self) -> str:
        """The first table of numbered places"""
        return "\n".join(match[0] for match in ROW.finditer(self.text))

    def links(self, text: str) -> set[str]:
        return {
            str((self.page.parent / link).resolve().relative_to(ROOT)) for link in LINK.findall(text) if ":" not in link
        }


EXAMPLES = [
    Example(
        "A platform",
        re.compile(r"yelp", re.IGNORECASE),
        (
            *("chalicelib/platforms/mail/headers.py", "chalicelib/platforms/mail/portals.py"),  # mail of portals
            *("chalicelib/api/connections.py", "chalicelib/api/openapi_examples.py"),  # an example of its kind
        ),
        PLATFORMS,
    ),
    Example("A list resource", re.compile(r"webhook_endpoint|\bNewWebhookEndpoint\b")),
    Example("A job", re.compile(r"prune_audit|audit_pruned", re.IGNORECASE)),
    Example("A figure", re.compile(r"ReviewTally|\bReviews\b(?=[(,:\]]| \|)")),
    Example(
        "A Lambda function",
        re.compile(
            r"ansel_maintenance|-maintenance|workers\.maintenance|\"maintenance\"|maintenance\.json|\bMAINTENANCE\b"
        ),
    ),
]
examples = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.heading)


def places_of(named: re.Pattern[str]) -> set[str]:
    """The files that have the name in them."""
    tops = [ROOT / name for name in SEARCHED]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.suffix in READ]
    names = {str(file.relative_to(ROOT)): file for file in files}
    return {
        name
        for name, file in names.items()
        if not name.startswith(NOT_SEARCHED) and named.search(file.read_text("utf-8"))
    }


@examples
def test_every_place_of_an_example_is_listed(example: Example) -> None:
    listed = example.links(example.text)
    places = places_of(example.named) - set(example.elsewhere)
    assert [place for place in sorted(places) if place not in listed and str(Path(place).parent) not in listed] == []


@examples
def test_every_numbered_place_has_to_do_with_the_example(example: Example) -> None:
    places = places_of(example.named)
    for listed in example.links(example.table):
        searched = listed.startswith(SEARCHED) and not listed.startswith(NOT_SEARCHED)
        assert not searched or any(place == listed or place.startswith(f"{listed}/") for place in places), listed


@examples
def test_the_number_of_places_is_the_one_at_the_top(example: Example) -> None:
    anchor = example.heading.lower().replace(" ", "-")
    (told,) = re.findall(rf"^\| \[[\w ]+\]\(#{anchor}\) \| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in ROW.findall(example.text)] == list(range(1, int(told) + 1))

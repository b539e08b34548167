"""Queries are found wherever they are defined or built, so that none escapes the tenancy test."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.data.queries import find_queries

IMPORT = "from chalicelib.data.postgres.query import Query\n"


@pytest.mark.parametrize(
    ("file", "source", "found"),
    [
        ("data/plain.py", IMPORT + "FIND: Query[None] = Query('SELECT')", "FIND"),
        ("data/deep/down.py", IMPORT + "FIND = Query('SELECT')", "FIND"),
        ("data/deep/__init__.py", IMPORT + "FIND = Query[int]('SELECT', int)", "FIND"),
        ("services/far.py", "import chalicelib.data.postgres.query as q\nFIND = q.Query('SELECT')", "FIND"),
        ("data/built.py", IMPORT + "def wipe(table):\n    return Query(table)", "chalicelib.data.built.wipe"),
        (
            "data/method.py",
            "from chalicelib.data.postgres import query\nclass Store:\n    def run(self): query.Query('SELECT')",
            "chalicelib.data.method.Store.run",
        ),
        ("data/late.py", IMPORT + "find = lambda table: Query(table)", "chalicelib.data.late.<lambda>"),
        ("data/passed_on.py", IMPORT + "def find() -> Query[int]:\n    return FIND", "chalicelib.data.passed_on.find"),
        ("data/listed.py", IMPORT + "ALL = {'find': Query('SELECT')}", "chalicelib.data.listed:2"),
        ("data/inside.py", IMPORT + "class Store:\n    find = Query('SELECT')", "chalicelib.data.inside:3"),
        ("data/partly.py", IMPORT + "make = partial(Query, result=int)", "chalicelib.data.partly:2"),
        ("data/inner.py", IMPORT + "def f():\n    make = Query\n    make('SELECT')", "chalicelib.data.inner:3"),
        ("data/heir.py", IMPORT + "class Heir(Query[None]): ...", "chalicelib.data.heir:2"),
    ],
)
def test_every_query_is_found(tmp_path: Path, file: str, source: str, found: str) -> None:
    write(tmp_path, {file: source})
    assert find_queries(tmp_path / "chalicelib") == [found]


def test_aliases_of_the_class_are_resolved_in_every_module(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "data/names.py": IMPORT + "Write = Query[None]",
            "data/user.py": "from chalicelib.data.names import Query as Q, Write as W\nWIPE: W = W('DELETE')",
            "services/user.py": "from chalicelib.data.user import Q\nFIND = Q('SELECT')",
        },
    )
    assert find_queries(tmp_path / "chalicelib") == ["FIND", "WIPE"]


def test_two_constants_of_one_name_are_two(tmp_path: Path) -> None:
    write(tmp_path, {"data/one.py": IMPORT + "FIND = Query('1')", "data/two.py": IMPORT + "FIND = Query('2')"})
    assert find_queries(tmp_path / "chalicelib") == ["FIND", "FIND"]


def test_naming_the_class_is_not_a_query(tmp_path: Path) -> None:
    source = """
        from chalicelib.data.postgres.query import Query
        from chalicelib.data.sync.runs import FIND_RUN

        Held = Query[int]

        def run(query: Query[int], other: "Query[str] | None" = None) -> int:
            kept: Held = FIND_RUN
            return kept
        """
    write(tmp_path, {"data/reader.py": dedent(source)})
    assert find_queries(tmp_path / "chalicelib") == []


def write(folder: Path, sources: dict[str, str]) -> None:
    for name, source in sources.items():
        path = folder / "chalicelib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

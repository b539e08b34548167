"""A studio's health counts every table it can have rows in."""

from chalicelib.data.studio_health import COUNTED
from tests.data.rows import TENANT_TABLES


def test_no_table_is_left_out_of_the_count() -> None:
    assert sorted(COUNTED) == sorted(table.name for table in TENANT_TABLES if table.name != "studio")

"""How syncs treat each table: one declaration per table that stores records."""

from typing import NamedTuple

import msgspec


class Parent(NamedTuple):
    """The row that a record belongs to; if it does not exist yet, it is created from the record's fields."""

    table: str
    column: str
    external_id: str
    """The record's field that names it."""
    made: dict[str, str]
    """SQL for the columns of a new parent. Its own source fills in the rest later."""


class OnDelete(NamedTuple):
    """The change to a row whose source is gone."""

    column: str
    value: str

    def __str__(self) -> str:
        return f"{self.column} = {self.value}"


class Table(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A table that stores records. In its SQL `t` is the row, `r` the record and `excluded` the proposed row."""

    name: str
    scope: tuple[str, ...] = ("connection_id",)
    """The columns, besides the studio, within which the natural key is unique"""
    natural_key: tuple[str, ...] = ("external_id",)
    parent: Parent | None = None
    is_judged: bool = False
    """Whether rules decide what a record becomes, so that it is not stored as it is"""
    restated: tuple[str, ...] = ()
    """Columns that platforms restate: the earlier values are kept in `<table>_restatement`."""
    on_delete: OnDelete | None = None
    """None keeps a row whose source is gone: a lead stays a lead. Needs `held_by_accounts`."""
    held_by_accounts: bool = False
    """Whether a row lists the accounts that hold it: an event may be in several calendars under one id, or move to
    another one. A row is gone only when no account holds it."""
    skippable: bool = False
    """Whether a rule may leave a row out after it was stored"""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the unique key."""
        return ("studio_id", *self.scope, *self.natural_key)

    @property
    def record_key(self) -> tuple[str, ...]:
        """The fields of a record that form its row's natural key."""
        parent = self.parent
        return tuple(parent.external_id if parent and name == parent.column else name for name in self.natural_key)

    def in_scope(self, row: str) -> str:
        """SQL for whether a row is in the scope of its natural key."""
        return " AND ".join(f"{row}.{column} = {SCOPES[column]}" for column in self.scope) or "true"

    @property
    def depth(self) -> int:
        """The number of ancestors: parents are stored first."""
        return 0 if self.parent is None else 1 + SYNCED[self.parent.table].depth


SCOPES = {"connection_id": ":connection_id::uuid"}
"""SQL for the value of each column that may be in a scope"""
FROM_SCOPE = {"connection_id": {"platform": ":platform::text"}}
"""Columns that follow from a scope's column and are stored for filtering: SQL for their values"""

SYNCED = {
    table.name: table
    for table in (
        Table(
            name="ad_campaign",
            on_delete=OnDelete("status", "'archived'"),
            held_by_accounts=True,
        ),
        Table(
            name="ad_metric",
            scope=(),
            natural_key=("campaign_id", "day"),
            parent=Parent(
                table="ad_campaign",
                column="campaign_id",
                external_id="campaign_external_id",
                made={"name": "r.campaign_name", "status": "'active'"},
            ),
            restated=("spend_minor", "currency", "impressions", "clicks", "conversions"),
        ),
        Table(
            name="booking",
            on_delete=OnDelete("status", "'cancelled'"),
            held_by_accounts=True,
            skippable=True,
        ),
        Table(name="content"),
        Table(
            name="content_metric",
            scope=(),
            natural_key=("content_id", "measured_at"),
            parent=Parent(
                table="content",
                column="content_id",
                external_id="content_external_id",
                made={"kind": "r.content_kind", "status": "'published'"},
            ),
        ),
        Table(name="inquiry", is_judged=True, skippable=True),
        Table(name="review", restated=("rating", "text")),
    )
}
"""By name"""

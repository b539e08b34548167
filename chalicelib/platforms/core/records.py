"""Typed rows from platforms on their way into the tables. A sync never touches a column without a field here."""

from datetime import date, datetime
from typing import Literal

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a platform's data; `external_id` is its natural key there."""

    external_id: str


class Guest(msgspec.Struct, frozen=True):
    """A person invited to an event."""

    name: str | None
    email: str | None
    response: str | None
    """In the platform's words, such as `accepted`"""


class BookingRecord(Record, frozen=True, kw_only=True):
    title: str | None
    event_type: str
    """wedding | engagement | portrait | family | newborn | event | other | consultation"""
    event_date: date
    """The local date on which the event starts, at its location."""
    starts_at: datetime
    ends_at: datetime
    all_day: bool
    status: str
    """tentative | confirmed | cancelled"""
    booked_at: datetime
    """When it was entered in the calendar; all dates of a series share this time."""
    calendar_id: str | None = None
    client_name: str | None = None
    client_email: str | None = None
    guests: list[Guest] = []
    location: str | None = None
    notes: str | None = None
    url: str | None = None
    series_id: str | None = None
    ical_uid: str | None = None
    """The same for all copies of an event, in whichever calendar, and for all dates of a series."""
    source_updated_at: datetime | None = None
    skip_reason: None = None
    """A stored record is not left out, or no longer."""


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody wrote, or that the studio wrote. Not all of it is stored: that depends on the thread."""

    external_id: str
    direction: Literal["in", "out"]
    kind: Literal["person", "machine", "auto_reply", "relay"]
    """`relay`: a person wrote through a form or a portal, which sent it"""
    sent_at: datetime
    reason: str = ""
    """Which kind of machine wrote, such as `newsletter`; empty for people and for the studio"""
    sender_name: str | None = None
    sender_address: str | None = None
    person_name: str | None = None
    person_address: str | None = None
    """Whom to answer; None if a relay does not tell"""
    writers: tuple[str, ...] = ()
    """The addresses that an answer to it may go to"""
    recipients: tuple[str, ...] = ()
    subject: str | None = None
    preview: str | None = None
    message_id: str = ""
    answered_ids: tuple[str, ...] = ()
    """The message ids that it answers, the direct one first"""
    discarded: Literal["", "spam", "trash"] = ""
    reaction: Literal["", "story", "mention", "share"] = ""
    """What a direct message came with: an answer to a story, a mention in one, a shared post"""


class ThreadRecord(Record, frozen=True, kw_only=True):
    """Messages that belong together, oldest first: a thread, or the part of one that concerns one person."""

    channel: str
    """email | google_form | instagram_dm | facebook_message | website | ..."""
    url: str | None = None
    own: tuple[str, ...] = ()
    """The studio's addresses, as far as they are known"""
    messages: tuple[MessageRecord, ...] = ()


class AdCampaignRecord(Record, frozen=True, kw_only=True):
    name: str
    status: str
    """draft | active | paused | ended | archived"""
    objective: str | None = None
    budget_minor: int | None = None
    """The daily budget, or the lifetime budget if there is no daily one."""
    currency: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class AdMetricRecord(Record, frozen=True, kw_only=True):
    """A campaign's numbers on one day, in the ad account's time zone; its `external_id` is `{campaign}/{day}`."""

    campaign_external_id: str
    campaign_name: str
    day: date
    spend_minor: int
    currency: str
    impressions: int
    clicks: int
    conversions: float


class ReviewRecord(Record, frozen=True, kw_only=True):
    rating: int
    """1 to 5"""
    reviewed_at: datetime
    text: str | None = None
    author: str | None = None
    url: str | None = None

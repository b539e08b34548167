"""Typed rows from platforms on their way into the tables. A sync never touches a column without a field here."""

from datetime import date, datetime

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


class InquiryRecord(Record, frozen=True, kw_only=True):
    channel: str
    """email | google_form | instagram_dm | facebook_message | website | ..."""
    received_at: datetime
    contact_name: str | None = None
    contact_email: str | None = None
    subject: str | None = None
    message: str | None = None
    url: str | None = None
    replied_at: datetime | None = None
    """The studio's first answer; an inquiry that is still `new` becomes `contacted` at this time."""
    skip_reason: None = None
    """As for a booking."""


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

"""What platforms hand over: typed rows on their way into the tables. A field absent here is never touched by a sync."""

from datetime import date, datetime

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a platform's data; `external_id` is its natural key there."""

    external_id: str


class Guest(msgspec.Struct, frozen=True):
    """Whoever is invited to an event."""

    name: str | None
    email: str | None
    response: str | None
    """In the platform's words, such as `accepted`"""


class BookingRecord(Record, frozen=True, kw_only=True):
    title: str | None
    event_type: str
    """wedding | engagement | portrait | family | newborn | event | other | consultation"""
    event_date: date
    """The local date the event starts on, where it takes place."""
    starts_at: datetime
    ends_at: datetime
    all_day: bool
    status: str
    """tentative | confirmed | cancelled"""
    booked_at: datetime
    """When it entered the calendar; a series did so once."""
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
    """A record that is stored is not left out, or no longer."""


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
    """The studio's first answer; an inquiry still `new` becomes `contacted` at this time."""
    skip_reason: None = None
    """As a booking's."""


class AdCampaignRecord(Record, frozen=True, kw_only=True):
    name: str
    status: str
    """draft | active | paused | ended | archived"""
    objective: str | None = None
    budget_minor: int | None = None
    """Of a day, or of its whole life when it has no daily budget."""
    currency: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class AdMetricRecord(Record, frozen=True, kw_only=True):
    """A campaign's numbers of one day, in the ad account's time zone; its `external_id` is `{campaign}/{day}`."""

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

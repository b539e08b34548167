"""Commands about platforms that are not called because they were down or over a limit."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from chalicelib.data.postgres.rows import Row
from chalicelib.services.operations.commands.base import Command, Limit, RemainingMs


class ListThrottles(Command, tag="throttle list"):
    """List what holds runs back: platforms that are down, limits that were reached, and the waiting runs."""

    limit: Limit = 100

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.throttle_control import list_throttles

        return list_throttles(self.limit)


class ClearThrottles(Command, tag="throttle clear"):
    """End a platform's wait early: for one studio, or for all studios that the application's limit holds back."""

    platform: Annotated[str, Meta(description="The platform's name, such as google")]
    studio_id: Annotated[UUID | None, Meta(description="The studio whose account waits; by default every studio")] = (
        None
    )

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.operations.throttle_control import clear_throttles

        return clear_throttles(self.platform, self.studio_id, remaining_ms)

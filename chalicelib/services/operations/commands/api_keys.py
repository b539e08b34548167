"""Commands about studios' API keys."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.services.operations.commands.base import Command, Listing, Name, RemainingMs, ShownKey, StudioId

KeyId = Annotated[UUID, Meta(description="The API key's id, as shown by `api-key list`")]
Scopes = Annotated[tuple[str, ...], Meta(description="What the key allows", min_length=1, max_length=20)]
ExpiresAt = Annotated[Moment | None, Meta(description="When the key expires; never by default")]


class RotatedKey(ShownKey):
    replaced_key_id: UUID
    replaced_ends_at: Moment | None


class CreateApiKey(Command, tag="api-key create"):
    """Create an API key for a studio. It is shown only once."""

    studio_id: StudioId
    name: Name
    scopes: Scopes = ("admin",)
    expires_at: ExpiresAt = None

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.api_keys import make_api_key
        from chalicelib.services.studios import get_studio

        get_studio(self.studio_id)
        key = make_api_key(self.studio_id, self.name, self.scopes, self.expires_at)
        return ShownKey(studio_id=self.studio_id, key_id=key.id, api_key=key.token)


class ListApiKeys(Command, tag="api-key list"):
    """List a studio's API keys, without their secrets."""

    studio_id: StudioId

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.api_keys import list_api_keys
        from chalicelib.services.studios import get_studio

        get_studio(self.studio_id)
        return Listing(items=list_api_keys(self.studio_id))


class RotateApiKey(Command, tag="api-key rotate"):
    """Create an API key that replaces another one, which expires after a grace period. It is shown only once."""

    studio_id: StudioId
    key_id: KeyId
    grace_hours: Annotated[int, Meta(description="How many hours both keys work", ge=0, le=720)] = 24
    expires_at: ExpiresAt = None

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.api_keys import rotate_api_key

        key, replaced = rotate_api_key(
            self.studio_id, self.key_id, grace_hours=self.grace_hours, expires_at=self.expires_at
        )
        return RotatedKey(
            studio_id=self.studio_id,
            key_id=key.id,
            api_key=key.token,
            replaced_key_id=replaced.id,
            replaced_ends_at=replaced.expires_at,
        )


class RevokeApiKey(Command, tag="api-key revoke"):
    """Revoke an API key; it stops working within seconds."""

    studio_id: StudioId
    key_id: KeyId

    def run(self, remaining_ms: RemainingMs) -> Row:
        from chalicelib.services.api_keys import list_api_keys, revoke_api_key

        revoke_api_key(self.studio_id, self.key_id)
        return next(key for key in list_api_keys(self.studio_id) if key.id == self.key_id)

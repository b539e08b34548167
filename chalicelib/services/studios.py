"""Studios: the tenants."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from chalicelib.data import studios
from chalicelib.data.postgres.database import Transaction, read, transaction
from chalicelib.data.postgres.rows import BEFORE_ALL_IDS
from chalicelib.data.studios import Studio
from chalicelib.errors import FieldProblem, InvalidInput, NotFound
from chalicelib.security.api_keys import ADMIN, NewApiKey
from chalicelib.services.api_keys import add_api_key, new_api_key
from chalicelib.services.data_keys import new_data_key, store_data_key
from chalicelib.services.time_zones import is_time_zone

FIRST_KEY_NAME = "first"


def create_studio(name: str, *, time_zone: str = "UTC") -> UUID:
    """Creates a studio with its own data key; returns its id."""
    with _new_studio(name, time_zone) as (_, studio_id):
        return studio_id


def create_studio_with_key(name: str, *, time_zone: str = "UTC") -> tuple[UUID, NewApiKey]:
    """The same, together with an API key with full access; both are created, or neither."""
    key = new_api_key()
    with _new_studio(name, time_zone) as (tx, studio_id):
        add_api_key(tx, key, studio_id, FIRST_KEY_NAME, [ADMIN], None)
    return studio_id, key


def list_studios(after: UUID | None, limit: int) -> list[Studio]:
    """The studios after this one, by id; for administration only."""
    return read(None, studios.FIND_STUDIOS, after=after or BEFORE_ALL_IDS, batch=limit)


def get_studio(studio_id: UUID) -> Studio:
    studio = read(studio_id, studios.GET_STUDIO)
    if studio is None:
        raise NotFound("Studio not found", code="studio_not_found")
    return studio


def check_studio_named(studio_id: UUID, confirmation: str) -> None:
    """Raises InvalidInput unless `confirmation` is the studio's id or its name."""
    studio = read(studio_id, studios.GET_STUDIO)
    if confirmation not in (str(studio_id), studio.name if studio else None):
        raise InvalidInput(fields=[FieldProblem("confirm", "must be the studio's name or id; once erased, its id")])


@contextmanager
def _new_studio(name: str, time_zone: str) -> Iterator[tuple[Transaction, UUID]]:
    _check_time_zone(time_zone)
    studio_id = read(None, studios.NEW_ID).id
    wrapped = new_data_key(studio_id)
    with transaction(studio_id) as tx:
        tx.run(studios.INSERT_STUDIO, id=studio_id, name=name, time_zone=time_zone)
        store_data_key(tx, studio_id, wrapped)
        yield tx, studio_id


def _check_time_zone(name: str) -> None:
    if not is_time_zone(name):
        raise InvalidInput(fields=[FieldProblem("timeZone", "must be an IANA time zone such as Europe/Berlin")])

"""Studios: the tenants."""

from uuid import UUID
from zoneinfo import ZoneInfo

from chalicelib.data import studios
from chalicelib.data.database import read, transaction
from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.services.tokens import vault


def create_studio(name: str, *, time_zone: str = "UTC") -> UUID:
    """Makes a studio with a data key of its own; returns its id."""
    _check_time_zone(time_zone)
    studio_id = read(None, studios.NEW_ID).id
    wrapped = vault().new_key(studio_id)
    with transaction(studio_id) as tx:
        tx.run(studios.INSERT_STUDIO, id=studio_id, name=name, time_zone=time_zone)
        tx.run(studios.INSERT_DATA_KEY, studio_id=studio_id, wrapped=wrapped, provider=vault().provider_name)
    return studio_id


def _check_time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError) as error:
        problem = FieldProblem("timeZone", "is not an IANA time zone such as Europe/Berlin")
        raise InvalidInput(fields=[problem]) from error

"""Sessions of the application's role outside the product: sets and proves the studio they act for."""

from uuid import UUID

import pg8000.native

from chalicelib.data.postgres.tenants import studio_settings

SET_STUDIO = "SELECT set_config('app.studio_id', :studio, {local}), set_config('app.studio_proof', :proof, {local})"


def act_as(connection: pg8000.native.Connection, studio_id: UUID | None, *, in_transaction: bool = False) -> None:
    """Valid from here on, or until the current transaction ends."""
    studio, proof = studio_settings(studio_id)
    connection.run(SET_STUDIO.format(local=str(in_transaction).lower()), studio=studio, proof=proof)

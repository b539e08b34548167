"""What a stage's functions may take from its database: a connection for each of their containers."""

import math
from collections.abc import Mapping

from migrations.privileges import CONNECTION_SHARES

RESERVED = {"Tick": 1, "Maintenance": 1, "Admin": 3}
"""The concurrency that the template reserves for functions, besides the API's ApiConcurrency. It also limits them."""
CONTAINERS_WHILE_DEPLOYING = 2
"""Containers per concurrent invocation: those of the previous release keep their connections until Lambda ends them."""
KEPT_BY_THE_SERVER = 5
"""Connections only for the server's administrators: three of PostgreSQL's, two of RDS's"""
OF_PEOPLE = 5
"""A migration, and operators with a client"""


def concurrency_by_role(parameters: Mapping[str, str]) -> dict[str, int]:
    """How many invocations of each function may use the database at once; 0 is no limit."""
    limited = parameters["ReserveConcurrency"] == "true"
    return {
        "ansel_api": int(parameters["ApiConcurrency"]) if limited else 0,
        "ansel_sync": int(parameters["SyncConcurrency"]),
        **{f"ansel_{name.lower()}": number if limited else 0 for name, number in RESERVED.items()},
    }


def connections_needed(parameters: Mapping[str, str]) -> int:
    """What a database has to accept, so that every function can be as busy as it may while a release replaces another.

    Functions without a limit are not counted: their roles have one in the database (migrations/privileges.py).
    """
    needed = {role: number * CONTAINERS_WHILE_DEPLOYING for role, number in concurrency_by_role(parameters).items()}
    in_their_share = [math.ceil(needed[role] * 100 / share) for role, share in CONNECTION_SHARES.items()]
    return max(sum(needed.values()) + KEPT_BY_THE_SERVER + OF_PEOPLE, *in_their_share)


def find_shortage(parameters: Mapping[str, str]) -> str | None:
    """What is wrong with the sizes that were chosen, if anything."""
    needed, accepted = connections_needed(parameters), int(parameters["DatabaseMaxConnections"])
    if needed <= accepted:
        return None
    return (
        f"DatabaseMaxConnections: ApiConcurrency={parameters['ApiConcurrency']} and "
        f"SyncConcurrency={parameters['SyncConcurrency']} may need {needed} connections to the database, which accepts "
        f"{accepted}: lower the two, or raise it, with a DatabaseInstanceClass that has the memory"
    )

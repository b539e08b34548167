"""What a stage takes from its account and from its database: reserved concurrency, and connections."""

from collections.abc import Mapping

RESERVED = {"Tick": 1, "Maintenance": 1, "Admin": 3}
"""Concurrency reserved for functions by the template, besides the API's ApiConcurrency."""
CONTAINERS_WHILE_DEPLOYING = 2
"""Containers per concurrent invocation: those of the previous release keep their connections until Lambda ends them."""
KEPT_BY_THE_SERVER = 5
"""Connections only for the server's administrators: three of PostgreSQL's, two of RDS's"""
OF_PEOPLE = 5
"""A migration, and operators with a client"""


def reserved_concurrency(parameters: Mapping[str, str]) -> int:
    """What Lambda sets aside, in an account where it leaves 100 to everything else."""
    if parameters["ReserveConcurrency"] != "true":
        return 0
    return sum(RESERVED.values()) + int(parameters["ApiConcurrency"])


def concurrency_by_role(parameters: Mapping[str, str]) -> dict[str, int]:
    """How many invocations of each function may use the database at once; 0 is no limit."""
    limited = parameters["ReserveConcurrency"] == "true"
    return {
        "api": int(parameters["ApiConcurrency"]) if limited else 0,
        "sync": int(parameters["SyncConcurrency"]),
        **{name.lower(): number if limited else 0 for name, number in RESERVED.items()},
    }


def connections_needed(parameters: Mapping[str, str]) -> int:
    """The most that a database has to accept: every function is as busy as it may be while a release replaces another.

    Functions without a limit are not counted: their roles have one in the database (migrations/privileges.py).
    """
    functions = sum(concurrency_by_role(parameters).values())
    return functions * CONTAINERS_WHILE_DEPLOYING + KEPT_BY_THE_SERVER + OF_PEOPLE

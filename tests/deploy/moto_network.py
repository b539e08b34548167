"""Deleting networks by CloudFormation: moto keeps their route tables, and then refuses to delete the networks."""

from typing import Any

from moto.ec2 import models
from moto.ec2.models.route_tables import RouteTable


def patch() -> None:
    table: Any = RouteTable
    table.delete = _delete


def _delete(table: Any, account_id: str, region_name: str) -> None:
    models.ec2_backends[account_id][region_name].route_tables.pop(table.id, None)

"""RDS as the template creates it: moto's CloudFormation passes only half of the properties, and no setting names."""

from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores
from moto.rds import models, responses

Response: Any = responses.RDSResponse
DBInstance: Any = models.DBInstance
VERSIONS = ("17.6", "18.3", "18.4")
"""Of every engine"""
ZONES = {"db.t4g.micro": "abc", "db.t4g.medium": "abc", "db.serverless": "abc", "db.m7g.large": "c"}
"""The classes that can be ordered, and in which zones"""
Settings: Any = models.DBParameterGroup
Subnets: Any = models.DBSubnetGroup
_get_attribute = DBInstance.get_cfn_attribute


def patch() -> None:
    DBInstance.create_from_cloudformation_json = classmethod(_create)
    DBInstance.update_from_cloudformation_json = classmethod(_update)
    DBInstance.get_cfn_attribute = _attribute
    Response.describe_db_engine_versions = _describe_versions
    Response.describe_orderable_db_instance_options = _describe_orderable
    Settings.physical_resource_id = property(lambda self: self.name)
    Subnets.physical_resource_id = property(lambda self: self.name)


def _create(
    _cls: Any, /, name: str, resource: dict[str, Any], account_id: str, region_name: str, **kwargs: Any
) -> models.DBInstance:
    given = _given(resource)
    given["vpc_security_group_ids"] = given.pop("vpc_security_groups", [])
    backend = models.rds_backends[account_id][region_name]
    return backend.create_db_instance({"db_instance_identifier": name.lower(), **given})


def _describe_versions(response: Any) -> ActionResult:
    """moto knows the options of clusters only, and no versions: these are a Region's, in the format of RDS."""
    engine, wanted = response.params.get("Engine"), response.params.get("EngineVersion") or ""
    found = [version for version in VERSIONS if version == wanted or version.startswith(f"{wanted}." if wanted else "")]
    return ActionResult({"DBEngineVersions": [{"Engine": engine, "EngineVersion": version} for version in found]})


def _describe_orderable(response: Any) -> ActionResult:
    size, version = response.params["DBInstanceClass"], response.params["EngineVersion"]
    zones = [{"Name": f"{response.region}{zone}"} for zone in ZONES.get(size, "")]
    option = {"DBInstanceClass": size, "EngineVersion": version, "AvailabilityZones": zones}
    return ActionResult({"OrderableDBInstanceOptions": [option] if zones and version in VERSIONS else []})


def _update(
    _cls: Any, /, original_resource: Any, cloudformation_json: dict[str, Any], **kwargs: Any
) -> models.DBInstance:
    """moto cannot update a database; the deployments here change its protection and backups only."""
    given = _given(cloudformation_json)
    changing = ("deletion_protection", "backup_retention_period")
    original_resource.update(**{name: given[name] for name in changing if name in given})
    updated: models.DBInstance = original_resource
    return updated


def _given(resource: dict[str, Any]) -> dict[str, Any]:
    truths = {"true": True, "false": False}  # how parameters and Ref represent booleans
    return {
        camelcase_to_underscores(key): truths.get(value, value) if isinstance(value, str) else value
        for key, value in resource["Properties"].items()
    }


def _attribute(database: Any, name: str) -> Any:
    match name:
        case "MasterUserSecret.SecretArn":
            return database.master_user_secret.secret.arn
        case "DbiResourceId":
            return database.dbi_resource_id
    return _get_attribute(database, name)

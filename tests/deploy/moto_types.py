"""Types that moto supports through their own API but not through CloudFormation: created by calling that API."""

import json
from functools import cache
from typing import Any

import boto3
from moto.core.common_models import CloudFormationModel


@cache
def _client(service: str) -> Any:
    return boto3.client(service)


class _Called:
    """Subclasses define the CloudFormation type name, and how a resource is created and deleted."""

    name_property = ""

    def __init__(self, name: str, properties: dict[str, Any]) -> None:
        self.id = name
        self.put(properties)

    def put(self, properties: dict[str, Any]) -> None:
        raise NotImplementedError

    @property
    def physical_resource_id(self) -> str:
        return self.id

    def get_cfn_attribute(self, attribute_name: str) -> str:
        raise NotImplementedError

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> Any:
        return cls(resource_name, cloudformation_json["Properties"])

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> Any:
        original_resource.put(cloudformation_json["Properties"])
        return original_resource


class Alarm(_Called, CloudFormationModel):
    name_property = "AlarmName"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudWatch::Alarm"

    def put(self, properties: dict[str, Any]) -> None:
        _client("cloudwatch").put_metric_alarm(**properties)

    def get_cfn_attribute(self, attribute_name: str) -> str:
        found = _client("cloudwatch").describe_alarms(AlarmNames=[self.id])["MetricAlarms"]
        return str(found[0][f"Alarm{attribute_name}"])

    def delete(self, account_id: str, region_name: str) -> None:
        _client("cloudwatch").delete_alarms(AlarmNames=[self.id])


class EventInvokeConfig(_Called, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Lambda::EventInvokeConfig"

    def put(self, properties: dict[str, Any]) -> None:
        self.function = properties["FunctionName"]
        _client("lambda").put_function_event_invoke_config(**properties)

    def delete(self, account_id: str, region_name: str) -> None:
        """Deleted with its function, which moto may already have deleted."""


class Secret(_Called, CloudFormationModel):
    """Its text is written on creation, and on an update only if the template's text changes: never, here."""

    name_property = "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::SecretsManager::Secret"

    def put(self, properties: dict[str, Any]) -> None:
        if self.id.startswith("arn:"):
            return
        made = properties.pop("GenerateSecretString", None)
        if made is not None:
            asked = {name: made[name] for name in ("PasswordLength", "ExcludePunctuation") if name in made}
            password = _client("secretsmanager").get_random_password(**asked)["RandomPassword"]
            text = {**json.loads(made["SecretStringTemplate"]), made["GenerateStringKey"]: password}
            properties["SecretString"] = json.dumps(text)
        self.id = _client("secretsmanager").create_secret(Name=self.id, **properties)["ARN"]

    def delete(self, account_id: str, region_name: str) -> None:
        _client("secretsmanager").delete_secret(SecretId=self.id)

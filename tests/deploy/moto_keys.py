"""KMS keys as the template creates them: moto stores the policy as a document, but its API returns text."""

import json
from typing import Any

from moto.kms import models

Key: Any = models.Key
_create_from_cloudformation = Key.create_from_cloudformation_json.__func__


def patch() -> None:
    Key.create_from_cloudformation_json = classmethod(_create)


def _create(_cls: Any, /, name: str, resource: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    properties = {**resource["Properties"], "KeyPolicy": json.dumps(resource["Properties"]["KeyPolicy"])}
    return _create_from_cloudformation(Key, name, {**resource, "Properties": properties}, *args, **kwargs)

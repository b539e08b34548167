"""S3 with policies: moto looks at no condition, so a statement against plain HTTP would refuse everything."""

from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3 import models


def patch() -> None:
    bucket: Any = models.FakeBucket
    bucket.get_permission = lambda self, action, resource: PermissionResult.NEUTRAL

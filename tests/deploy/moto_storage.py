"""S3 with bucket owners, but without policies: moto ignores conditions, so one against plain HTTP would refuse all."""

from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3 import models, responses
from moto.s3.exceptions import S3AccessDeniedError

OWNER = "x-amz-expected-bucket-owner"
S3: Any = responses.S3Response
_authorize = S3._authenticate_and_authorize_s3_action


def patch() -> None:
    bucket: Any = models.FakeBucket
    bucket.get_permission = lambda self, action, resource: PermissionResult.NEUTRAL
    S3._authenticate_and_authorize_s3_action = _authorize_owner


def _authorize_owner(response: Any, *args: Any, **kwargs: Any) -> None:
    """moto ignores the expected bucket owner; all its buckets belong to one account."""
    if response.headers.get(OWNER, response.current_account) != response.current_account:
        raise S3AccessDeniedError
    _authorize(response, *args, **kwargs)

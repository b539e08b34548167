"""The Encryption SDK is used without its exports, which need boto3, and has them for whoever asks."""

import json
import subprocess
import sys

import pytest

from chalicelib.security.package_exports import postpone_exports
from tests.conftest import ROOT
from tests.security.kms import Kms, kms, kms_proxy, service

__all__ = ["kms", "kms_proxy", "service"]

UNWRAP = """
import json, sys
from uuid import UUID
from chalicelib.secret import Secret
from chalicelib.security.key_providers import KmsKeyProvider, RawKeyProvider
keys = {keys}
key, studio = bytes(range(32)), UUID(int=1)
assert keys.unwrap(keys.wrap(key, studio), studio) == key
print(json.dumps([name for name in ("boto3", "botocore", "urllib3") if name in sys.modules]))
"""
EXPORTS = """
from chalicelib.security import encryption_sdk
import aws_encryption_sdk
from aws_encryption_sdk import StreamDecryptor, StrictAwsKmsMasterKeyProvider
assert StreamDecryptor is encryption_sdk.StreamDecryptor is aws_encryption_sdk.StreamDecryptor
assert aws_encryption_sdk.EncryptionSDKClient().config.commitment_policy.name.startswith("REQUIRE_ENCRYPT")
assert aws_encryption_sdk.__version__
try:
    aws_encryption_sdk.nothing
except AttributeError as error:
    print(error)
"""


def alone(code: str) -> str:
    """The output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_data_key_is_unwrapped_without_boto3() -> None:
    assert json.loads(alone(UNWRAP.format(keys="RawKeyProvider(Secret('ab' * 32))"))) == []


def test_a_data_key_is_unwrapped_by_kms_without_boto3(kms: Kms) -> None:
    assert json.loads(alone(UNWRAP.format(keys=f"KmsKeyProvider(({kms.here!r}, {kms.elsewhere!r}))"))) == []


def test_the_sdks_exports_are_there_for_whoever_asks() -> None:
    assert "has no attribute 'nothing'" in alone(EXPORTS)


def test_a_package_that_is_imported_already_stays_as_it_is() -> None:
    before = vars(json).copy()
    postpone_exports("json")
    assert sys.modules["json"] is json
    assert vars(json) == before


def test_a_package_that_does_not_exist_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        postpone_exports("no_such_package")

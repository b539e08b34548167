"""Outside local and test, no variable redirects calls away from AWS or exposes them."""

import pytest

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings
from tests.environments import LOCAL, PROD

REDIRECTS = [
    "AWS_ENDPOINT_URL",
    *(f"AWS_ENDPOINT_URL_{service}" for service in ("KMS", "SQS", "SECRETS_MANAGER", "STS", "RDS", "OF_TOMORROW")),
    *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
    *("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSLKEYLOGFILE"),
]
DEPLOYED, FREE = ["dev", "prod"], ["local", "test"]
QUEUES = ["SYNC_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"]


def environment(stage: str, **variables: str) -> dict[str, str]:
    return {**(LOCAL if stage == "local" else PROD), "ANSEL_STAGE": stage, **variables}


@pytest.mark.parametrize("stage", DEPLOYED)
@pytest.mark.parametrize("variable", REDIRECTS)
def test_a_redirecting_variable_is_rejected_by_name(stage: str, variable: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is not allowed in {stage}") as refused:
        Settings.from_environ(environment(stage, **{variable: "https://canary.example"}))
    assert "canary" not in f"{refused.value} {refused.value.message}"


@pytest.mark.parametrize("stage", FREE)
@pytest.mark.parametrize("variable", REDIRECTS)
def test_redirecting_variables_are_allowed_in_local_and_test(stage: str, variable: str) -> None:
    assert Settings.from_environ(environment(stage, **{variable: "http://127.0.0.1:4566"})).stage == stage


@pytest.mark.parametrize("variable", REDIRECTS)
def test_an_empty_variable_is_allowed(variable: str) -> None:
    assert Settings.from_environ(environment("prod", **{variable: " "})).stage == "prod"


def test_lambdas_own_variables_are_allowed() -> None:
    """Including SnapStart's credential location, and the choice among Amazon's own hosts."""
    own = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9001/credentials",
        "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "NO_PROXY": "*",
        "SSL_CERT_FILE": "/etc/pki/tls/certs/ca-bundle.crt",
    }
    assert Settings.from_environ(environment("prod", **own)).stage == "prod"


@pytest.mark.parametrize("stage", DEPLOYED)
@pytest.mark.parametrize("variable", QUEUES)
@pytest.mark.parametrize(
    "url",
    [
        "http://sqs.eu-central-1.amazonaws.com/123456789012/sync",
        "https://sqs.eu-central-1.amazonaws.com.evil.example/123456789012/sync",
        "https://evil.example/sqs.eu-central-1.amazonaws.com/123456789012/sync",
        "https://sqs.eu-central-1.amazonaws.com@evil.example/123456789012/sync",
        "https://sqs.eu-central-1.amazonaws.com:8443/123456789012/sync",
        "https://ec2-192-0-2-1.compute.amazonaws.com/123456789012/sync",
        "https://sqs.s3.eu-central-1.amazonaws.com/123456789012/sync",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/sync?x=1",
        "https://sqs.eu-central-1.amazonaws.com/123456789012/",
        "https://sqs.eu-central-1.amazonaws.com/\u0661\u0662\u0663456789012/sync",
        "https://127.0.0.1/123456789012/sync",
        "sync",
    ],
)
def test_a_queue_outside_aws_is_rejected(stage: str, variable: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} must be https://sqs.REGION.amazonaws.com/") as refused:
        Settings.from_environ(environment(stage, **{variable: url}))
    assert url not in str(refused.value)


@pytest.mark.parametrize("variable", QUEUES)
def test_queues_of_every_partition_are_accepted(variable: str) -> None:
    for host in (
        "sqs.eu-central-1.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        "sqs.us-gov-west-1.amazonaws.com",
    ):
        url = f"https://{host}/123456789012/ansel-prod-sync"
        assert url in repr(Settings.from_environ(environment("prod", **{variable: url})))


@pytest.mark.parametrize("stage", FREE)
@pytest.mark.parametrize("variable", QUEUES)
def test_the_local_queue_is_accepted_in_local_and_test(stage: str, variable: str) -> None:
    url = "http://127.0.0.1:4566/123456789012/ansel-local-sync"
    assert url in repr(Settings.from_environ(environment(stage, **{variable: url})))

"""The health check after a deployment: at the stack's domain, whether or not DNS knows it already."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import rollout
from deploy.cloud import DeployError, Stack
from tests.data.tls import Authority
from tests.http_fake import Fake, Reply, http_fake

HEALTHY = Reply({"status": "ok", "migrations": "current", "migrationsHead": "0001"})
UNKNOWN_TO_DNS = "api.example.invalid"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


@pytest.fixture
def at_domain(authority: Authority) -> Iterator[Fake]:
    """API Gateway's host for the domain, which presents the domain's certificate."""
    with http_fake(authority.server(UNKNOWN_TO_DNS)) as fake:
        fake.on("/api/health", HEALTHY)
        yield fake


def stack(outputs: dict[str, str]) -> Stack:
    return Stack("ansel-prod", "arn", "CREATE_COMPLETE", {}, outputs)


def with_domain(at_domain: Fake) -> Stack:
    target = at_domain.url.removeprefix("https://")
    return stack({"EndpointURL": "https://unused", "DomainUrl": f"https://{UNKNOWN_TO_DNS}", "DomainTarget": target})


def test_a_domain_is_checked_before_dns_knows_it(at_domain: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    rollout.check(with_domain(at_domain), None, wait_seconds=0)
    (request,) = at_domain.requests
    assert (request.path, request.headers["host"]) == ("/api/health", UNKNOWN_TO_DNS)
    said = capsys.readouterr().out
    assert f"https://{UNKNOWN_TO_DNS}/api/health is ok" in said
    assert f"{UNKNOWN_TO_DNS} has no DNS record here yet" in said


def test_a_certificate_of_another_name_is_no_healthy_domain(authority: Authority) -> None:
    with http_fake(authority.server("other.example.com")) as fake:
        fake.on("/api/health", HEALTHY)
        with pytest.raises(DeployError, match=r"does not respond \(hostname"):
            rollout.check(with_domain(fake), None, wait_seconds=0)
        assert fake.requests == []


def test_a_given_url_is_checked_instead_of_the_domain(at_domain: Fake) -> None:
    with http_fake() as given:
        given.on("/v1/api/health", HEALTHY)
        rollout.check(with_domain(at_domain), f"{given.url}/v1/", wait_seconds=0)
        assert given.paths() == ["/v1/api/health"]
    assert at_domain.requests == []


def test_without_a_domain_the_endpoint_of_api_gateway_is_checked() -> None:
    with http_fake() as gateway:
        gateway.on("/v1/api/health", HEALTHY)
        rollout.check(stack({"EndpointURL": f"{gateway.url}/v1/"}), None, wait_seconds=0)
        assert gateway.paths() == ["/v1/api/health"]

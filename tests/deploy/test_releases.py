"""A release matches its name: anything else that was put in its place is detected before it is deployed."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import boto3
import pytest

from dev.invocation import ACCOUNT
from tests.deploy.attacker import Attacker, Calls
from tests.deploy.projects import running_cloud
from tests.deploy.small_stage import Operator
from tests.http_fake import Reply, http_fake

FOREIGN = b"somebody else's"
NOT_ITS_NAME = "does not match its name: somebody else has written it"


@pytest.fixture(scope="module", autouse=True)
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with running_cloud(tmp_path_factory.mktemp("cloud")):
        yield


@pytest.fixture
def operator(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    with http_fake() as api:
        api.on("/api/health", Reply({"status": "ok"}))
        operator = Operator(f"r{crc32(request.node.name.encode())}", tmp_path, api.url, capsys)
        operator.bucket = f"ansel-{operator.stage}"
        boto3.client("s3").create_bucket(Bucket=operator.bucket)
        yield operator


@pytest.fixture
def attacker(operator: Operator) -> Attacker:
    return Attacker(operator.bucket, operator.stage)


@pytest.fixture
def api_calls() -> Iterator[Calls]:
    calls = Calls()
    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    session.events.register("provide-client-params", calls.note)
    yield calls
    boto3.DEFAULT_SESSION = None


def rolled_back(operator: Operator, release: str) -> tuple[int, str]:
    return operator.run("deploy", "--bucket", operator.bucket, "--release", release, "--yes", "--wait", "0")


def named(key: str) -> str:
    return Path(key).stem


def test_names_are_the_full_hash_of_the_content(operator: Operator, attacker: Attacker) -> None:
    assert operator.deploy(1)[0] == 0
    (release,) = attacker.releases()
    code = attacker.code_of(release)
    assert release == f"releases/{operator.stage}/{sha256(attacker.read(release)).hexdigest()}.json"
    assert code == f"code/{sha256(attacker.read(code)).hexdigest()}.zip"
    assert f"release {named(release)} to " in operator.deploy(1)[1]
    assert f"  Release  {named(release)}" in operator.run("check", "--wait", "0")[1]


def test_the_id_covers_the_template(operator: Operator, attacker: Attacker) -> None:
    operator.deploy(1)
    (first,) = attacker.releases()
    operator.template["Resources"]["Sync"]["Properties"]["MemorySize"] = 1024
    operator.deploy(1)
    (second,) = attacker.releases() - {first}
    assert attacker.code_of(first) == attacker.code_of(second)


def test_a_planted_zip_is_not_deployed(operator: Operator, attacker: Attacker) -> None:
    package = operator.package(1)
    key = f"code/{sha256((package / 'deployment.zip').read_bytes()).hexdigest()}.zip"
    attacker.write(key, FOREIGN)
    code, said = operator.deploy(1)
    assert (code, operator.status()) == (1, None)
    assert f"deploy: {key} in bucket {operator.bucket} {NOT_ITS_NAME}" in said
    attacker.remove(key)
    assert operator.deploy(1)[0] == 0


def test_an_identical_object_that_already_exists_is_deployed(operator: Operator, attacker: Attacker) -> None:
    package = operator.package(1)
    content = (package / "deployment.zip").read_bytes()
    attacker.write(f"code/{sha256(content).hexdigest()}.zip", content)
    code, said = operator.deploy(1)
    assert code == 0, said


def larger(template: bytes) -> bytes:
    return template.replace(b'"MemorySize": 512', b'"MemorySize": 513')


REWRITTEN: list[Callable[[bytes], bytes]] = [
    larger,
    lambda template: template + b"\n",
    lambda template: json.dumps(json.loads(template)).encode(),
    lambda template: template.replace(b"{", b'{"Resources": {}, ', 1),
    lambda template: b"{}",
    lambda template: b"[1",
    lambda template: b"",
]


def test_a_rewritten_template_is_not_deployed(operator: Operator, attacker: Attacker) -> None:
    operator.deploy(1)
    (first,) = attacker.releases()
    operator.deploy(2)
    before, original = operator.codes(), attacker.read(first)
    for rewrite in REWRITTEN:
        attacker.write(first, rewrite(original))
        code, said = rolled_back(operator, named(first))
        assert (code, operator.codes()) == (1, before)
        assert f"{first} in bucket {operator.bucket} {NOT_ITS_NAME}" in said
    assert operator.deploy(1)[0] == 1, "the same package once more does not trust what is there either"
    attacker.write(first, original)
    assert rolled_back(operator, named(first))[0] == 0
    assert operator.codes() != before


def test_a_rollback_to_rewritten_code_is_refused(operator: Operator, attacker: Attacker) -> None:
    operator.deploy(1)
    (first,) = attacker.releases()
    operator.deploy(2)
    before, key = operator.codes(), attacker.code_of(first)
    attacker.write(key, FOREIGN)
    code, said = rolled_back(operator, named(first))
    assert (code, operator.codes()) == (1, before)
    assert f"{key} in bucket {operator.bucket} {NOT_ITS_NAME}" in said
    attacker.remove(key)
    assert f"{key} is not in bucket {operator.bucket}" in rolled_back(operator, named(first))[1]


def test_an_object_whose_s3_checksum_differs_is_not_even_read(
    operator: Operator, attacker: Attacker, api_calls: Calls
) -> None:
    operator.deploy(1)
    (release,) = attacker.releases()
    key = attacker.code_of(release)
    attacker.write(key, FOREIGN, ChecksumAlgorithm="SHA256")
    before = len(api_calls.named("GetObject"))
    assert NOT_ITS_NAME in rolled_back(operator, named(release))[1]
    assert [asked["Key"] for asked in api_calls.named("GetObject")[before:]] == [release]


def test_a_template_named_by_its_hash_must_still_be_a_release_of_this_bucket(
    operator: Operator, attacker: Attacker
) -> None:
    operator.deploy(1)
    (first,) = attacker.releases()
    original = attacker.read(first)
    for template, problem in {
        b"[]": "is not the template of a release",
        b'{"Resources": {}}': "is not the template of a release",
        original.replace(operator.bucket.encode(), b"elsewhere"): "takes its code from elsewhere/code/",
        original.replace(attacker.code_of(first).encode(), b"code/latest.zip"): "/code/latest.zip, which is not a hash",
    }.items():
        release = sha256(template).hexdigest()
        attacker.write(f"releases/{operator.stage}/{release}.json", template)
        code, said = rolled_back(operator, release)
        assert (code, problem in said) == (1, True), said


def test_an_ambiguous_prefix_is_refused_and_both_releases_are_named(operator: Operator, attacker: Attacker) -> None:
    operator.deploy(1)
    (first,) = attacker.releases()
    id = named(first)
    twin = f"{id[:8]}{'0' * 56}"
    attacker.write(f"releases/{operator.stage}/{twin}.json", b"{}")
    code, said = rolled_back(operator, id[:8])
    assert code == 1
    assert f"release {id[:8]} of {operator.stage} is ambiguous, it could be {' or '.join(sorted([id, twin]))}" in said
    for unique in (id, id[:12]):
        assert rolled_back(operator, unique)[0] == 0


def test_an_object_not_named_like_a_release_is_neither_listed_nor_deployed(
    operator: Operator, attacker: Attacker
) -> None:
    operator.deploy(1)
    (first,) = attacker.releases()
    for name in ("latest.json", "abc123.json", f"{'A' * 64}.json", f"{'a' * 64}.yaml", f"deep/{'a' * 64}.json"):
        attacker.write(f"releases/{operator.stage}/{name}", attacker.read(first))
    (listed,) = operator.run("releases", "--bucket", operator.bucket)[1].splitlines()
    assert listed.startswith(f"{named(first)}  ")
    assert "does not exist" in rolled_back(operator, "latest")[1]


def test_code_swapped_during_deployment_is_detected_before_it_migrates(
    operator: Operator, attacker: Attacker, api_calls: Calls
) -> None:
    """The local AWS does not support versions of code: the admin function gets what was stored last."""
    operator.deploy(1)
    before = operator.codes()
    operator.template["Resources"]["Sync"]["Properties"]["MemorySize"] = 1024
    api_calls.before("UpdateFunctionCode", lambda params: attacker.write(params["S3Key"], FOREIGN))
    code, said = operator.deploy(2)
    assert code == 1
    assert f"ansel-{operator.stage}-admin received different code than " in said
    assert '"version": 2' not in said
    assert operator.codes() == before


def test_code_swapped_before_the_stack_changes_is_detected_afterwards(
    operator: Operator, attacker: Attacker, api_calls: Calls
) -> None:
    operator.deploy(1)
    (first,) = attacker.releases()

    def exchange(_: Any) -> None:
        (second,) = attacker.releases() - {first}
        attacker.write(attacker.code_of(second), attacker.read(attacker.code_of(first)))

    api_calls.before("ExecuteChangeSet", exchange)
    code, said = operator.deploy(2)
    assert code == 1
    (second,) = attacker.releases() - {first}
    assert f"ansel-{operator.stage}-sync runs different code than release {named(second)}" in said


def test_previous_code_is_not_restored_if_it_was_overwritten(
    operator: Operator, attacker: Attacker, api_calls: Calls
) -> None:
    operator.deploy(1)
    key = attacker.code_of(*attacker.releases())
    fails = 'def admin(event, context):\n    raise RuntimeError("version %d")\n'
    api_calls.before("Invoke", lambda params: attacker.write(key, FOREIGN))
    code, said = operator.deploy(2, admin=fails)
    assert code == 1
    assert f"ansel-{operator.stage}-admin did not get its previous code back: {key} in bucket {operator.bucket}" in said
    assert "`migrate up` failed: RuntimeError: version 2" in said


def test_every_request_names_the_bucket_owner_and_nothing_is_overwritten(operator: Operator, api_calls: Calls) -> None:
    bucket = f"ansel-new-{operator.stage}"
    given = ["--bucket", bucket, "--package", str(operator.package(1)), "--yes", "--wait", "0"]
    assert operator.run("deploy", "--create-bucket", *given)[0] == 0
    (line,) = operator.run("releases", "--bucket", bucket)[1].splitlines()
    assert operator.run("deploy", *given[:2], "--release", line.split()[0], *given[4:])[0] == 0
    asked = [(name, params) for name, params in api_calls.made if params.get("Bucket") == bucket]
    assert {name for name, params in asked if params.get("ExpectedBucketOwner") != ACCOUNT} == {"CreateBucket"}
    assert {"HeadBucket", "PutBucketPolicy", "ListObjectsV2", "HeadObject", "GetObject"} <= {name for name, _ in asked}
    puts = api_calls.named("PutObject")
    assert len(puts) == 2
    for put in puts:
        assert put["IfNoneMatch"] == "*"
        assert put["ChecksumSHA256"] == b64encode(sha256(put["Body"]).digest()).decode()


def test_checked_objects_are_pinned_by_version_in_a_versioned_bucket(operator: Operator, api_calls: Calls) -> None:
    bucket = f"ansel-new-{operator.stage}"
    for version in (1, 2):
        package = str(operator.package(version))
        given = ["--bucket", bucket, "--create-bucket", "--package", package, "--yes", "--wait", "0"]
        assert operator.run("deploy", *given)[0] == 0
    versions = {
        stored["Key"]: stored["VersionId"]
        for stored in boto3.client("s3").list_object_versions(Bucket=bucket)["Versions"]
    }
    (updated,) = api_calls.named("UpdateFunctionCode")
    assert updated["S3ObjectVersion"] == versions[updated["S3Key"]]
    for made in api_calls.named("CreateChangeSet"):
        url = urlsplit(made["TemplateURL"])
        assert parse_qs(url.query) == {"versionId": [versions[url.path[1:]]]}


def test_another_accounts_bucket_is_refused(operator: Operator, api_calls: Calls) -> None:
    given = ["deploy", "--bucket", operator.bucket, "--package", str(operator.package(1)), "--yes", "--wait", "0"]
    code, said = operator.run(*given, "--bucket-owner", "999999999999")
    assert (code, operator.status(), api_calls.named("PutObject")) == (1, None, [])
    assert f"bucket {operator.bucket} cannot be used: access is denied, or it does not belong to 999999999999" in said
    assert operator.run(*given, "--bucket-owner", ACCOUNT)[0] == 0


def test_another_accounts_releases_are_not_listed(operator: Operator) -> None:
    code, said = operator.run("releases", "--bucket", operator.bucket, "--bucket-owner", "999999999999")
    assert (code, "cannot be used" in said) == (1, True)

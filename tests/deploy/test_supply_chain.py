"""The supply chain: exact pins with hashes, a bill of materials, licences, advisories, certificates."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any
from zipfile import ZipFile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.markers import Marker

from deploy import audit, certificates, licences
from deploy.advisories import find, read_records
from deploy.certificates import OWNER, NotRdsError
from deploy.pins import LOCK, ROOT, RUN_LOCK, RUNTIME, Pin, read_pins
from tests.deploy.conftest import Package

DIRECT = ROOT / "requirements-dev.in"
RUN_DIRECT = ROOT / "requirements-run.in"
LOCKS = pytest.mark.parametrize("lock", [LOCK, RUN_LOCK], ids=["dev", "run"])
PLATFORMS = [
    {
        "sys_platform": platform,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.9",
    }
    for platform, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
    for python in ("3.11", "3.12", "3.13")
]


def applies(pin: Pin, platform: dict[str, str]) -> bool:
    """Whether pip would install it there."""
    return not pin.marker or Marker(pin.marker).evaluate({**platform, "platform_python_implementation": "CPython"})


class TestPins:
    @LOCKS
    def test_every_pin_of_a_lock_has_hashes(self, lock: Path) -> None:
        assert [pin.name for pin in read_pins(lock) if not pin.hashes] == []

    @LOCKS
    def test_a_lock_contains_the_cloud_requirements_at_the_same_versions(self, lock: Path) -> None:
        locked = {(pin.name, pin.version) for pin in read_pins(lock) if not pin.marker}

        assert {(pin.name, pin.version) for pin in read_pins(RUNTIME)} <= locked

    @pytest.mark.parametrize(("lock", "direct"), [(LOCK, DIRECT), (LOCK, RUN_DIRECT), (RUN_LOCK, RUN_DIRECT)])
    def test_a_lock_contains_every_direct_requirement(self, lock: Path, direct: Path) -> None:
        locked = {(pin.name, pin.version) for pin in read_pins(lock)}

        assert {(pin.name, pin.version) for pin in read_pins(direct)} <= locked

    def test_the_run_lock_is_a_subset_of_the_development_lock_with_the_same_files(self) -> None:
        """The tests run the same versions as `make run`, and one environment serves both."""
        developing = {(pin.name, pin.version): pin.hashes for pin in read_pins(LOCK)}
        running = {(pin.name, pin.version): pin.hashes for pin in read_pins(RUN_LOCK)}

        assert running.items() <= developing.items()
        assert {"mypy", "pytest", "ruff"}.isdisjoint(name for name, _ in running)

    @pytest.mark.parametrize(
        "platform", PLATFORMS, ids=lambda it: f"{it['sys_platform']}-{it['platform_machine']}-{it['python_version']}"
    )
    def test_a_package_has_one_version_per_platform(self, platform: dict[str, str]) -> None:
        names = [pin.name for pin in read_pins(LOCK) if applies(pin, platform)]

        assert len(names) == len(set(names))
        assert {pin.name for pin in read_pins(RUNTIME)} <= set(names)

    def test_installed_versions_match_the_pins(self) -> None:
        """Otherwise the tests would run with other versions than those deployed."""
        assert {pin.name: version(pin.name) for pin in read_pins(RUNTIME)} == {
            pin.name: pin.version for pin in read_pins(RUNTIME)
        }

    def test_no_file_names_a_package_index(self) -> None:
        """That is up to the configuration of the environment."""
        for path in (
            RUNTIME,
            LOCK,
            RUN_LOCK,
            DIRECT,
            RUN_DIRECT,
            ROOT / "dev" / "venv.sh",
            ROOT / "dev" / "uv.py",
            ROOT / "Makefile",
        ):
            text = path.read_text(encoding="utf-8")
            assert "--index-url" not in text, path
            assert "--find-links" not in text, path


class TestBillOfMaterials:
    @pytest.fixture
    def bill(self, package: Package) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((package.folder / "sbom.cdx.json").read_text(encoding="utf-8"))
        return document

    def test_it_is_valid_cyclonedx(self, bill: dict[str, Any]) -> None:
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))

        assert error is None, str(error)[:400]

    def test_it_lists_exactly_the_contents_of_the_zip(self, bill: dict[str, Any], package: Package) -> None:
        listed = {f"{it['name']}-{it['version']}" for it in bill["components"] if it["type"] == "library"}
        with ZipFile(package.zip) as archive:
            metadata = [name.removesuffix("/METADATA") for name in archive.namelist() if name.endswith("/METADATA")]
        packed = {name.removesuffix(".dist-info").replace("_", "-") for name in metadata}

        assert listed == packed

    def test_each_package_has_a_purl_a_licence_and_the_hash_of_a_locked_wheel(self, bill: dict[str, Any]) -> None:
        locked = {pin.name: pin.hashes for pin in read_pins(LOCK)}
        for component in bill["components"]:
            assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
            assert licences.is_allowed(component["licenses"][0]["expression"]), component["name"]
            assert component["hashes"][0]["content"] in locked[component["name"]]

    def test_bundled_components_are_listed_inside_their_wheel(self, bill: dict[str, Any]) -> None:
        inside = next(it["components"] for it in bill["components"] if it["name"] == "cryptography")

        assert "openssl" in {it["name"] for it in inside}
        assert "pyo3" in {it["name"] for it in inside}

    def test_it_lists_dependencies(self, bill: dict[str, Any]) -> None:
        needs = {it["ref"].split("@")[0]: [ref.split("@")[0] for ref in it["dependsOn"]] for it in bill["dependencies"]}

        assert needs["pkg:pypi/pg8000"] == ["pkg:pypi/python-dateutil", "pkg:pypi/scramp"]
        assert len(needs["ansel"]) == len(bill["components"])


class TestLicences:
    def test_every_deployed_package_has_an_allowed_licence(self) -> None:
        rows = [row.split(" | ") for row in licences.page().splitlines() if row.startswith("| [")]

        assert len(rows) == len(read_pins(RUNTIME))
        assert [row[0] for row in rows if not licences.is_allowed(row[2])] == []

    def test_the_page_is_current(self) -> None:
        assert licences.PAGE.read_text(encoding="utf-8") == licences.page(), "make lock"

    @pytest.mark.parametrize(
        "expression", ["MIT", "Apache-2.0 OR BSD-3-Clause", "GPL-3.0-only OR MIT", "MIT AND PSF-2.0"]
    )
    def test_a_permissive_choice_is_allowed(self, expression: str) -> None:
        assert licences.is_allowed(expression)

    @pytest.mark.parametrize(
        "expression",
        ["GPL-3.0-only", "MIT AND LGPL-3.0-or-later", "unknown", "", "(MIT OR GPL-2.0-only) AND AGPL-3.0-only"],
    )
    def test_a_licence_not_listed_or_not_understood_is_refused(self, expression: str) -> None:
        assert not licences.is_allowed(expression)


def advisory(name: str = "urllib3", **affected: Any) -> dict[str, Any]:
    """In OSV's format."""
    entry = {"package": {"ecosystem": "PyPI", "name": name}, **affected}
    return {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "summary": "It leaks", "affected": [entry]}


def between(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


class TestAdvisories:
    @pytest.mark.parametrize(
        ("version", "events", "affected"),
        [
            ("1.9", [{"introduced": "0"}, {"fixed": "2.0"}], True),
            ("2.0", [{"introduced": "0"}, {"fixed": "2.0"}], False),
            ("2.0rc1", [{"introduced": "0"}, {"fixed": "2.0"}], True),
            ("1.10", [{"introduced": "1.9"}, {"fixed": "1.11"}], True),
            ("1.8", [{"introduced": "1.9"}, {"fixed": "1.11"}], False),
            ("1.5", [{"introduced": "1"}, {"last_affected": "1.5"}], True),
            ("1.5.1", [{"introduced": "1"}, {"last_affected": "1.5"}], False),
            ("2.5", [{"introduced": "0"}, {"fixed": "1.4"}, {"introduced": "2.0"}, {"fixed": "2.6"}], True),
            ("1.7", [{"introduced": "0"}, {"fixed": "1.4"}, {"introduced": "2.0"}, {"fixed": "2.6"}], False),
            ("2.5", [{"fixed": "2.6"}, {"introduced": "2.0"}, {"fixed": "1.4"}, {"introduced": "0"}], True),
            ("9.9", [{"introduced": "3"}], True),
            ("0.1.dev1", [{"introduced": "0"}], True),
        ],
    )
    def test_a_version_is_evaluated_by_the_events_around_it(
        self, version: str, events: list[dict[str, str]], affected: bool
    ) -> None:
        assert bool(find([Pin("urllib3", version)], [advisory(**between(*events))])) is affected

    def test_a_listed_version_is_affected_in_any_notation(self) -> None:
        record = advisory(versions=["1.0", "not a version", "2.8"])

        assert find([Pin("urllib3", "2.8.0")], [record])
        assert not find([Pin("urllib3", "2.8.1")], [record])

    @pytest.mark.parametrize(
        "record",
        [
            {**advisory(versions=["1"]), "withdrawn": "2026-01-01T00:00:00Z"},
            advisory(name="requests", versions=["1"]),
            advisory(ranges=[{"type": "GIT", "events": [{"introduced": "0"}]}]),
            {"id": "X", "affected": [{"package": {"ecosystem": "npm", "name": "urllib3"}, "versions": ["1"]}]},
            {"id": "X"},
        ],
        ids=["withdrawn", "another package", "commits", "another ecosystem", "nothing affected"],
    )
    def test_advisories_for_other_packages_are_ignored(self, record: dict[str, Any]) -> None:
        assert find([Pin("urllib3", "1")], [record]) == []

    def test_a_package_is_found_by_any_spelling_of_its_name(self) -> None:
        assert find([Pin("typing-extensions", "1")], [advisory(name="Typing_Extensions", versions=["1"])])

    def test_one_vulnerability_in_two_databases_is_reported_once(self) -> None:
        twin = {**advisory(versions=["1"]), "id": "GHSA-1"}
        (found,) = find([Pin("urllib3", "1")], [advisory(**between({"introduced": "0"}, {"fixed": "2"})), twin])

        assert str(found) == "urllib3 1: PYSEC-1, CVE-2026-1: It leaks; fixed in 2"

    def test_records_are_read_from_a_folder_and_from_a_zip(self, tmp_path: Path) -> None:
        (tmp_path / "records" / "deep").mkdir(parents=True)
        (tmp_path / "records" / "deep" / "one.json").write_text(json.dumps(advisory()), encoding="utf-8")
        with ZipFile(tmp_path / "all.zip", "w") as archive:
            archive.writestr("PYSEC-1.json", json.dumps(advisory()))

        assert list(read_records(tmp_path / "records")) == list(read_records(tmp_path / "all.zip")) == [advisory()]


class TestAudit:
    def audit(self, folder: Path, *records: dict[str, Any]) -> int:
        for number, record in enumerate(records):
            (folder / f"{number}.json").write_text(json.dumps(record), encoding="utf-8")
        return audit.audit_offline(folder)

    def test_a_vulnerable_pin_fails_and_says_whether_it_is_deployed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lint = {**advisory(name="ruff", **between({"introduced": "0"})), "id": "PYSEC-2", "aliases": []}

        assert self.audit(tmp_path, advisory(**between({"introduced": "0"})), lint) == 1
        said = capsys.readouterr().out
        assert "development: ruff " in said
        assert "deployed: urllib3 " in said
        assert "2 known vulnerabilities" in said

    def test_pins_without_a_known_vulnerability_pass(self, tmp_path: Path) -> None:
        assert self.audit(tmp_path, advisory(**between({"introduced": "0"}, {"fixed": "1"}))) == 0

    def test_no_advisories_at_all_is_a_failure(self, tmp_path: Path) -> None:
        assert self.audit(tmp_path) == 1

    @pytest.mark.parametrize(
        ("name", "content", "problem"),
        [
            ("PYSEC-1.json", '{"id": ', "PYSEC-1.json is not JSON"),
            ("PYSEC-1.json", "[]", "PYSEC-1.json is not an OSV record"),
            ("all.zip", "half a download", "it is neither a folder nor a zip"),
        ],
    )
    def test_unreadable_advisories_are_reported_in_one_line(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, problem: str
    ) -> None:
        (tmp_path / name).write_text(content, encoding="utf-8")
        source = tmp_path if name.endswith(".json") else tmp_path / name
        assert audit.audit_offline(source) == 1
        assert capsys.readouterr().err.startswith(f"audit: the advisories in {source} cannot be read: {problem}")

    def test_an_unreachable_service_is_reported_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")  # no server listens there: nothing leaves this machine
        assert audit.audit_online() == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("audit: OSV could not be reached; ADVISORIES=")
        assert "api.osv.dev" in line


def authority(*, organization: str = OWNER, name: str = "Amazon RDS eu-west-1 Root CA", ca: bool = True) -> bytes:
    return _certificate(organization, name, ca)[0]


def _certificate(organization: str, name: str, ca: bool, *names: x509.GeneralName) -> tuple[bytes, bytes]:
    """A self-signed certificate, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)]
    )
    now = datetime.now(UTC)  # today: the TLS library checks validity against the system clock
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + timedelta(days=9))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, raw


@contextmanager
def tls_server(folder: Path, body: bytes) -> Iterator[str]:
    """Serves `body` on loopback with a self-signed certificate, stored in server.pem; yields the URL."""
    pem, key = _certificate("Loopback", "localhost", True, x509.DNSName("localhost"))
    (folder / "server.pem").write_bytes(pem)
    (folder / "server.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Logs nothing, to keep the test output clean."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"https://localhost:{server.server_address[1]}/bundle.pem"
    server.shutdown()
    server.server_close()


class TestCertificates:
    def test_each_region_has_its_own_bundle_besides_the_global_one(self) -> None:
        assert certificates.bundle_of("eu-central-1").endswith(".com/eu-central-1/eu-central-1-bundle.pem")
        assert certificates.bundle_of(certificates.EVERYWHERE).endswith(".com/global/global-bundle.pem")

    def test_root_certificates_of_rds_are_counted(self) -> None:
        assert certificates.check(authority() + authority(name="Amazon RDS cn-north-1 Root CA")) == 2

    @pytest.mark.parametrize(
        "bundle",
        [
            b"",
            b"<html>a captive portal</html>",
            authority() + authority(organization="Somebody Else"),
            authority(name="Another service's Root CA"),
            authority(ca=False),
        ],
        ids=["empty", "a page", "somebody else's", "another service's", "not an authority"],
    )
    def test_any_other_file_is_refused(self, bundle: bytes) -> None:
        with pytest.raises(NotRdsError):
            certificates.check(bundle)

    def test_they_are_downloaded_over_tls_only(self) -> None:
        with pytest.raises(NotRdsError, match="TLS"):
            certificates.fetch("http://127.0.0.1:1/bundle.pem")

    def test_an_untrusted_server_is_refused(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with tls_server(tmp_path, authority()) as url:
            assert certificates.main(["--url", url, "--output", str(tmp_path / "rds.pem")]) == 1

        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"certificates: {url}: [SSL: CERTIFICATE_VERIFY_FAILED]")
        assert not (tmp_path / "rds.pem").exists()

    def test_the_bundle_of_a_trusted_server_is_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bundle = authority()
        with tls_server(tmp_path, bundle) as url:
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
            assert certificates.main(["--url", url, "--output", str(tmp_path / "new" / "rds.pem")]) == 0

        assert (tmp_path / "new" / "rds.pem").read_bytes() == bundle

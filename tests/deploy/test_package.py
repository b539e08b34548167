"""The deployable package: its contents, that every build is identical, and that it runs on its own."""

import hashlib
import json
import marshal
import os
import re
import shutil
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path, PurePosixPath
from types import CodeType
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from deploy import contents, wheels
from deploy.bundle import TASK_ROOT, compile_tree, unpack, write_zip
from deploy.package import AIM_UNZIPPED, build, main
from deploy.pins import LEFT_TO_THE_RUNTIME, Pin, packed_pins, parse_pins
from deploy.wheels import PackagingError, Target, Wheel
from tests.deploy.conftest import HOST, ROOT, Package

UNCHECKED_HASH = 1
"""The flags of unchecked bytecode: PEP 552."""


def names(package: Package) -> list[str]:
    with ZipFile(package.zip) as archive:
        return archive.namelist()


def run_alone(package: Package, code: str) -> subprocess.CompletedProcess[str]:
    """Runs in an interpreter that finds only the package and the standard library."""
    environ = {"PYTHONPATH": str(package.task), "ANSEL_STAGE": "local", "PATH": os.defpath}
    command = [sys.executable, "-S", "-B", "-c", code]
    return subprocess.run(command, cwd=package.task, env=environ, capture_output=True, text=True)


def wheel_of(name: str) -> Wheel:
    (found,) = (wheel for wheel in wheels.wheels(HOST) if wheel.pin.name == name)
    return found


def system_functions() -> list[Path]:
    return list((ROOT / "chalicelib/data/system").rglob("*.sql"))


def baseline() -> list[Path]:
    return list((ROOT / "migrations/baseline").glob("*.sql"))


def test_all_our_modules_are_packed_as_source_and_bytecode(package: Package) -> None:
    sources = [ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")]
    tag = sys.implementation.cache_tag
    wanted = set()
    for path in sources:
        name = path.relative_to(ROOT)
        wanted |= {str(name), str(name.parent / "__pycache__" / f"{name.stem}.{tag}.pyc")}
    ours = {
        name for name in names(package) if name.startswith(("app.py", "__pycache__/", "chalicelib/", "migrations/"))
    }

    statements = {str(path.relative_to(ROOT)) for path in (*system_functions(), *baseline())}
    assert statements
    assert ours == wanted | statements | {"migrations/script.py.mako"}


def test_only_functions_and_migrations_are_packed_from_the_project(package: Package) -> None:
    tops = {PurePosixPath(name).parts[0] for name in names(package)}

    assert not tops & {"benchmarks", "build", "deploy", "dev", "docs", "chaos", "tests", "vendor", "requirements.txt"}
    assert not [name for name in names(package) if "/.env" in f"/{name}" or ".local" in name]


def test_packages_that_lambda_provides_are_left_out_and_all_others_packed(package: Package) -> None:
    tops = {PurePosixPath(name).parts[0] for name in names(package)}

    assert not tops & LEFT_TO_THE_RUNTIME
    assert tops >= {"urllib3", "dateutil", "six.pyc"}


def test_only_the_encryption_sdk_needs_packages_left_to_lambda(package: Package) -> None:
    """Those two bring their own dependencies; a third package that needs boto3 should be reviewed first."""
    needing = set()
    for metadata in package.task.glob("*.dist-info/METADATA"):
        required = re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", metadata.read_text(encoding="utf-8"), re.M)
        if LEFT_TO_THE_RUNTIME & set(required):
            needing.add(metadata.parent.name.split("-")[0])

    assert needing == {"aws_encryption_sdk", "chalice"}


def test_bytecode_is_unchecked_and_names_the_folder_it_will_run_in(package: Package) -> None:
    paths = sorted(package.task.rglob("*.pyc"))
    for path in paths:
        header, body = path.read_bytes()[:8], path.read_bytes()[16:]
        code = marshal.loads(body)  # noqa: S302 - what was built here
        assert header == MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little"), path
        assert isinstance(code, CodeType)
        assert code.co_filename.startswith(f"{TASK_ROOT}/"), path

    assert len(paths) > 500


def test_the_package_contains_no_path_of_the_build_machine(package: Package) -> None:
    found = [path for path in package.task.rglob("*.pyc") if b"ansel-package-" in path.read_bytes()]

    assert found == []


def test_a_traceback_of_our_code_shows_the_line(package: Package) -> None:
    done = run_alone(package, "from chalicelib.settings import oauth_clients; oauth_clients(None)")

    assert re.search(r'chalicelib/settings\.py", line \d+, in \w+\n +\S', done.stderr), done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "app",
        "alembic.command",
        "cryptography.hazmat.primitives.ciphers.aead",
        "jwt",
        "oauthlib.oauth2",
        "sqlalchemy.dialects.postgresql.pg8000",
        "sqlalchemy.orm",
        "tzdata.zoneinfo.Europe",
        "wrapt",
    ],
)
def test_a_module_is_imported_from_the_package_alone(package: Package, module: str) -> None:
    done = run_alone(package, f"import sys, {module}; print(sys.modules[{module!r}].__file__)")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(package.task))


CYTHONIZED = [
    *("engine._processors_cy", "engine._result_cy", "engine._row_cy", "engine._util_cy"),
    *("sql._cache_key_cy", "sql._util_cy", "util._collections_cy", "util._immutabledict_cy"),
]


def test_sqlalchemy_runs_without_its_compiled_modules(package: Package) -> None:
    """All of them are packed as Python, the code that they were compiled from."""
    with wheel_of("sqlalchemy").open() as archive:
        compiled = [name for name in archive.namelist() if name.endswith(".so")]
    assert sorted(name.split(".")[0].replace("/", ".") for name in compiled) == [
        f"sqlalchemy.{name}" for name in CYTHONIZED
    ]

    code = f"""
import importlib, sqlalchemy.orm, sqlalchemy.util
for name in {CYTHONIZED}:
    module = importlib.import_module("sqlalchemy." + name)
    assert module.__file__.endswith(".pyc") and not module._is_compiled(), name
print(sqlalchemy.util.has_compiled_ext())"""
    done = run_alone(package, code)
    assert done.stdout.strip() == "False", done.stderr
    assert not [name for name in names(package) if name.startswith("sqlalchemy/") and name.endswith(".so")]


@pytest.mark.parametrize(
    ("module", "compiled"),
    [("markupsafe", "markupsafe._speedups"), ("msgspec", "msgspec._core"), ("wrapt", "wrapt._wrappers")],
)
def test_the_speedups_of_the_other_wheels_are_in_use(package: Package, module: str, compiled: str) -> None:
    done = run_alone(package, f"import sys, {module}; print(sys.modules[{compiled!r}].__file__)")

    assert done.stdout.strip().endswith(".so"), done.stderr


def test_the_zip_has_no_dates_and_is_readable_by_all(package: Package) -> None:
    with ZipFile(package.zip) as archive:
        entries = archive.infolist()

    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {(entry.date_time, entry.external_attr >> 16) for entry in entries} == {((1980, 1, 1, 0, 0, 0), 0o100644)}


def test_a_build_in_another_place_is_identical(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "a longer path than before"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    build("prod", HOST, tmp_path / "out")

    for name in ("deployment.zip", "template.yaml", "sbom.cdx.json", "package.json"):
        assert (tmp_path / "out" / name).read_bytes() == (package.folder / name).read_bytes(), name
    assert list(elsewhere.iterdir()) == []


def test_a_failed_build_leaves_the_previous_package_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "template.yaml").write_text("of the build before", encoding="utf-8")
    monkeypatch.setattr("deploy.package.MOST_UNZIPPED", 1)
    with pytest.raises(PackagingError, match="more than Lambda accepts"):
        build("prod", HOST, tmp_path)

    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["of the build before"]


def test_the_figures_are_those_of_the_zip(package: Package) -> None:
    report = json.loads((package.folder / "package.json").read_text(encoding="utf-8"))
    with ZipFile(package.zip) as archive:
        unzipped = sum(entry.file_size for entry in archive.infolist())

    assert report["sha256"] == hashlib.sha256(package.zip.read_bytes()).hexdigest()
    assert report["zipBytes"] == package.zip.stat().st_size
    assert report["unzippedBytes"] == unzipped
    assert unzipped <= AIM_UNZIPPED, "a deployed package has grown: docs/packaging.md says what it was"
    assert report["packages"] == {pin.name: pin.version for pin in packed_pins()}


def test_the_template_deploys_this_zip_on_this_runtime(package: Package) -> None:
    template: dict[str, Any] = yaml.safe_load((package.folder / "template.yaml").read_text(encoding="utf-8"))
    functions = [it["Properties"] for it in template["Resources"].values() if it["Type"] == "AWS::Serverless::Function"]

    assert len(functions) >= 4
    for function in functions:
        assert function["CodeUri"] == "./deployment.zip"
        assert function["Runtime"] == f"python{HOST.python}"
        assert function["Architectures"] == [HOST.architecture]


class TestContents:
    @pytest.mark.parametrize(
        "name",
        [
            "chalicelib/.env",
            "chalicelib/data/dump.sql",
            "chalicelib/data/system/late/dump.sql",
            "migrations/dump.sql",
            "chalicelib/key.pem",
            "chalicelib/credentials.json",
            "chalicelib/notes.txt",
            "chalicelib/__pycache__/settings.cpython-311.pyc",
            "migrations/versions/draft.py.orig",
            "certificates/mine.pem",
            "tests/test_app.py",
        ],
    )
    def test_a_file_that_does_not_belong_is_named(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("x = 1\n", encoding="utf-8")

        with pytest.raises(PackagingError, match=re.escape(name)):
            contents.check_ours(tmp_path)

    @pytest.mark.parametrize(
        "text",
        [
            "-----BEGIN " + "RSA PRIVATE KEY-----",
            "KEY = '" + "AKIA" + "IOSFODNN7EXAMPLE'",
            "URL = 'postgresql://ansel_api:" + "hunter22@db.abc.eu-west-1.rds.amazonaws.com/ansel'",
        ],
    )
    def test_a_source_that_contains_a_secret_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "app.py").write_text(text, encoding="utf-8")

        with pytest.raises(PackagingError, match=r"app\.py seems to contain a secret"):
            contents.check_ours(tmp_path)

    def test_all_files_of_the_project_are_allowed(self, tmp_path: Path) -> None:
        shutil.copy(ROOT / "app.py", tmp_path)
        (tmp_path / "certificates").mkdir()
        (tmp_path / contents.CERTIFICATES).write_text("public", encoding="utf-8")
        for path in (*system_functions(), *baseline(), *(ROOT / "chalicelib").rglob("*.py")):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)

        contents.check_ours(tmp_path)

    @pytest.mark.parametrize("name", ["chalicelib/extra.pyc", "app.py", "somewhere/id_rsa", "x/.env"])
    def test_a_wheel_must_not_contain_our_files_or_secrets(self, name: str) -> None:
        with pytest.raises(PackagingError, match="came with a wheel"):
            contents.check_others(["urllib3/util.pyc", name])


class TestBundle:
    def test_a_module_that_does_not_compile_stops_the_build(self, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("def f(:\n", encoding="utf-8")

        with pytest.raises(PackagingError, match="does not compile"):
            compile_tree(tmp_path, keep_sources=False)

    def test_a_path_in_two_packages_stops_the_build(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "same.py").write_text("", encoding="utf-8")

        with pytest.raises(PackagingError, match=r"two packages contain same\.py"):
            write_zip([tmp_path / "a", tmp_path / "b"], tmp_path / "out.zip")

    def test_scripts_tests_and_stubs_of_a_wheel_are_left_out(self, tmp_path: Path) -> None:
        wanted = ["pkg/__init__.py", "pkg/core.so", "pkg-1.dist-info/METADATA", "pkg-1.dist-info/licenses/LICENSE"]
        unused = [
            "pkg-1.data/scripts/run",
            "pkg/tests/test_it.py",
            "pkg/core.pyi",
            "pkg/core.c",
            "pkg-1.dist-info/RECORD",
        ]
        with ZipFile(tmp_path / "pkg.whl", "w") as archive:
            for name in wanted + unused:
                archive.writestr(name, "")
        unpack(Wheel(Pin("pkg", "1"), tmp_path / "pkg.whl", ""), tmp_path / "out")

        unpacked = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        assert sorted(str(path.relative_to(tmp_path / "out")) for path in unpacked) == sorted(wanted)

    def test_a_compiled_module_is_left_out_only_if_its_source_is_there(self, tmp_path: Path) -> None:
        with ZipFile(tmp_path / "sqlalchemy.whl", "w") as archive:
            for name in ("_a_cy.py", "_a_cy.cpython-311-x86_64-linux-gnu.so", "_b.cpython-311-x86_64-linux-gnu.so"):
                archive.writestr(f"sqlalchemy/util/{name}", "")
        unpack(Wheel(Pin("sqlalchemy", "1"), tmp_path / "sqlalchemy.whl", ""), tmp_path / "out")

        unpacked = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
        assert unpacked == {"_a_cy.py", "_b.cpython-311-x86_64-linux-gnu.so"}


class TestWheels:
    def test_a_changed_wheel_is_downloaded_again_and_never_substituted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / f"{HOST.python}-{HOST.architecture}"
        folder.mkdir()
        real = wheels.wheels(HOST)[0]
        (folder / real.path.name).write_bytes(real.path.read_bytes() + b"\0")
        monkeypatch.setattr(wheels, "packed_pins", lambda: [real.pin])
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

        with pytest.raises(PackagingError, match="could not be downloaded"):
            wheels.wheels(HOST, cache=tmp_path)

    def test_pip_downloads_by_hash_from_its_configured_index(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = wheels.wheels(HOST)[0]
        monkeypatch.setattr(wheels, "packed_pins", lambda: [real.pin])
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(real.path.parent))
        fetched = wheels.wheels(HOST, cache=tmp_path)

        assert [(wheel.pin, wheel.sha256) for wheel in fetched] == [(real.pin, real.sha256)]
        assert [path.name for path in tmp_path.iterdir()] == [f"{HOST.python}-{HOST.architecture}"]

    def test_both_architectures_have_platform_tags(self) -> None:
        assert Target("arm64").tags == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]
        assert Target("x86_64").tags == ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]


class TestPins:
    def test_a_lock_is_parsed_with_its_hashes_and_markers(self) -> None:
        text = (
            "a.b==1.2 ; python_version < '3.12' \\\n    --hash=sha256:"
            + "0" * 64
            + " \\\n    --hash=sha256:"
            + "1" * 64
        )
        (pin,) = parse_pins(f"# made\n{text}\n    # via c\n-r other.txt\n")

        assert (pin.name, pin.version, pin.marker) == ("a-b", "1.2", 'python_version < "3.12"')
        assert pin.hashes == {"0" * 64, "1" * 64}
        assert parse_pins(pin.line()) == [pin]

    @pytest.mark.parametrize("line", ["a", "a>=1", "a==1.*", "a==1,<2", "a~=1.0"])
    def test_a_requirement_that_is_not_one_version_is_refused(self, line: str) -> None:
        with pytest.raises(ValueError, match="not pinned"):
            parse_pins(line)


def config_on(python: str, folder: Path) -> Path:
    """The project's configuration, with all stages on this version of Python."""
    document = json.loads((ROOT / ".chalice" / "config.json").read_text())
    for stage in document["stages"].values():
        stage["python"] = python
    file = folder / "config.json"
    file.write_text(json.dumps(document))
    return file


def test_a_failed_build_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.package._CHALICE", "import sys; sys.exit('no such handler')")
    monkeypatch.setattr("deploy.stages.CONFIG", config_on(HOST.python, tmp_path))

    assert main(["--stage", "prod", "--architecture", HOST.architecture, "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "package: chalice package failed: no such handler\n"

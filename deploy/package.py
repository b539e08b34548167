"""`python -m deploy.package --stage prod`: the deployment zip, its template, bill of materials and figures."""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml

from deploy import bundle, contents, sbom, template
from deploy.pins import LEFT_TO_THE_RUNTIME, ROOT
from deploy.stages import ensure_python
from deploy.wheels import ARCHITECTURES, PackagingError, Target, Wheel, wheels

ZIP = "deployment.zip"
MOST_UNZIPPED = 250 * 1024 * 1024
"""Lambda's limit: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
AIM_UNZIPPED = 36_000_000

_CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"


def _stage_project(folder: Path, architecture: str) -> None:
    """A copy for Chalice to work in, because it leaves files behind and would download packages without hashes."""
    shutil.copy2(ROOT / "app.py", folder)
    for name in ("chalicelib", "vendor", ".chalice"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "deployments", "deployed")
        )
    (folder / "requirements.txt").write_text("", encoding="utf-8")
    config = folder / ".chalice" / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**settings, "lambda_architecture": architecture}), encoding="utf-8")


def _run_chalice(project: Path, stage: str, output: Path) -> None:
    merged = project / "resources.json"
    merged.write_text(json.dumps(template.resources(stage)), encoding="utf-8")
    command = [
        sys.executable,
        "-c",
        _CHALICE,
        "package",
        "--stage",
        stage,
        "--merge-template",
        str(merged),
        str(output),
    ]
    # A region must be set, although it is not used; nothing of the builder's environment gets in.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(project), "AWS_DEFAULT_REGION": "us-east-1"}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise PackagingError(f"chalice package failed: {(done.stderr or done.stdout).strip()[-2000:]}")


def _bundle(chalice_zip: Path, packed: Sequence[Wheel], work: Path, target: Path) -> None:
    ours, theirs = work / "ours", work / "theirs"
    with ZipFile(chalice_zip) as archive:
        archive.extractall(ours, [name for name in archive.namelist() if not name.startswith("chalice/")])
    contents.check_ours(ours)
    for wheel in packed:
        bundle.unpack(wheel, theirs)
    contents.check_others(str(path.relative_to(theirs)) for path in theirs.rglob("*") if path.is_file())
    bundle.compile_tree(ours, keep_sources=True)
    bundle.compile_tree(theirs, keep_sources=False)
    bundle.write_zip([ours, theirs], target)


def _report(target: Target, stage: str, packed: Sequence[Wheel], archive: Path) -> dict[str, Any]:
    with ZipFile(archive) as zipped:
        entries = zipped.infolist()
    return {
        "stage": stage,
        "python": target.python,
        "architecture": target.architecture,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "zipBytes": archive.stat().st_size,
        "unzippedBytes": sum(entry.file_size for entry in entries),
        "files": len(entries),
        "databaseCertificates": any(entry.filename == contents.CERTIFICATES for entry in entries),
        "packages": {wheel.pin.name: wheel.pin.version for wheel in packed},
        "leftToTheRuntime": sorted(LEFT_TO_THE_RUNTIME),
    }


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def build(stage: str, target: Target, output: Path) -> dict[str, Any]:
    """Writes deployment.zip, template.yaml, sbom.cdx.json and package.json into `output`; returns the last one.

    All four or none: otherwise a zip could be deployed with an earlier build's template.
    """
    packed = wheels(target)
    with tempfile.TemporaryDirectory(prefix="ansel-package-") as folder:
        work = Path(folder)
        project, made = work / "project", work / "made"
        project.mkdir()
        made.mkdir()
        _stage_project(project, target.architecture)
        _run_chalice(project, stage, work / "packaged")
        _bundle(work / "packaged" / ZIP, packed, work, made / ZIP)
        sam = template.finished(json.loads((work / "packaged" / "sam.json").read_text(encoding="utf-8")), stage)
        (made / "template.yaml").write_text(yaml.safe_dump(sam, sort_keys=False, width=120), encoding="utf-8")
        report = _report(target, stage, packed, made / ZIP)
        _write_json(made / "sbom.cdx.json", sbom.bill(packed, made / ZIP, target))
        _write_json(made / "package.json", report)
        if (size := report["unzippedBytes"]) > MOST_UNZIPPED:
            raise PackagingError(f"{size} bytes unzipped is more than Lambda accepts ({MOST_UNZIPPED})")
        output.mkdir(parents=True, exist_ok=True)
        for path in made.iterdir():
            shutil.move(path, output / path.name)
    return report


def _say(report: Mapping[str, Any], output: Path) -> None:
    packed, unzipped = (report[key] / 1_000_000 for key in ("zipBytes", "unzippedBytes"))
    print(f"{output}: Python {report['python']}, {report['architecture']}, {len(report['packages'])} packages")
    print(f"  {ZIP} {packed:.1f} MB, unzipped {unzipped:.1f} MB, {report['files']} files")
    print(f"  sha256 {report['sha256']}", flush=True)
    if report["unzippedBytes"] > AIM_UNZIPPED:
        print(f"  warning: more than the target of {AIM_UNZIPPED / 1_000_000:.0f} MB unzipped", file=sys.stderr)
    if not report["databaseCertificates"]:
        print(
            "  warning: without RDS's certificates it cannot be deployed with an RDS database: run",
            file=sys.stderr,
        )
        print("  `make certificates REGION=...`, and package again", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.package", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="arm64")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    output = options.output or ROOT / "build" / "package" / options.stage
    target = Target(options.architecture)
    try:
        ensure_python(options.stage, target.python, f"make package STAGE={options.stage}")
        _say(build(options.stage, target, output), output)
    except (PackagingError, ValueError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

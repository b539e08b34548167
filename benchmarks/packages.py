"""The deployed package, and what it is compared with: hello world, no bytecode, and everything imported."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from zipfile import ZipFile

from deploy.package import build as build_package
from deploy.pins import LEFT_TO_THE_RUNTIME, ROOT, RUNTIME, read_pins
from deploy.wheels import Target

HELLO = """\
from chalice.app import Chalice

app = Chalice(app_name="hello")


@app.route("/")
def hello():
    return {"hello": "world"}
"""
EVERYTHING = """\
import alembic.command
import aws_encryption_sdk
import boto3
import cronsim
import cryptography.hazmat.primitives.ciphers.aead
import jwt
import oauthlib.oauth2
import sqlalchemy.orm
import urllib3

import app


def run(event, context):
    return {}
"""


def build(output: Path) -> Path:
    """The package for this machine; returns the folder that it is unpacked into."""
    architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    build_package("prod", Target(architecture), output)
    with ZipFile(output / "deployment.zip") as archive:
        archive.extractall(output / "task")
    return output / "task"


def hello(folder: Path, package: Path) -> Path:
    """Hello world in Chalice, with bytecode like our package."""
    folder.mkdir()
    shutil.copytree(package / "chalice", folder / "chalice")
    (folder / "app.py").write_text(HELLO)
    return _compiled(folder)


def everything(folder: Path) -> Path:
    """One module that imports every package that we pin."""
    folder.mkdir()
    (folder / "everything.py").write_text(EVERYTHING)
    return _compiled(folder)


def sources(folder: Path) -> Path:
    """Our modules and all packages except the runtime's own, as Chalice packs them: without bytecode."""
    folder.mkdir()
    shutil.copy(ROOT / "app.py", folder)
    for name in ("chalicelib", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for pin in read_pins(RUNTIME):
        if pin.name not in LEFT_TO_THE_RUNTIME:
            _copy(pin.name, folder)
    return folder


def _copy(distribution: str, folder: Path) -> None:
    for path in files(distribution) or ():
        if path.suffix == ".pyc" or ".." in path.parts:
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(path.locate()), target)


def _compiled(folder: Path) -> Path:
    command = [sys.executable, "-S", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", str(folder)]
    subprocess.run(command, env={"PATH": os.defpath}, check=True)
    return folder

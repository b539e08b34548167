"""The known platforms, and what each of them must have."""

import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from chalicelib import platforms
from chalicelib.errors import NotFound
from chalicelib.platforms.core.contract import Platform, Stream
from chalicelib.platforms.registry import NAMES, get_platform
from dev.sandbox import Sandbox
from tests.conftest import TODAY

ROOT = Path(__file__).parents[2]
PLATFORMS = [get_platform(name) for name in NAMES]
BUILT = [platform for platform in PLATFORMS if platform.streams]
CONNECTABLE = [platform for platform in PLATFORMS if platform.credential != "none"]


def defined_platforms() -> set[str]:
    """The names of all platforms defined by any module of the package, registered or not."""
    modules = [
        import_module(found.name) for found in pkgutil.walk_packages(platforms.__path__, "chalicelib.platforms.")
    ]
    return {value.name for module in modules for value in vars(module).values() if isinstance(value, Platform)}


def served_by_sandbox() -> set[str]:
    with Sandbox(today=TODAY) as sandbox:
        served = (sandbox.google, sandbox.meta, sandbox.pinterest, sandbox.yelp)
        return {host for platform in served for host in platform.hosts()}


def test_the_platforms_of_the_product_are_known_by_name() -> None:
    assert [platform.name for platform in PLATFORMS] == list(NAMES)
    assert len({platform.title for platform in PLATFORMS}) == len(NAMES)
    assert set(NAMES) == defined_platforms()


def test_an_unknown_platform_is_not_found_and_the_known_ones_are_listed() -> None:
    with pytest.raises(NotFound) as caught:
        get_platform("myspace")
    assert caught.value.code == "unknown_platform"
    assert all(name in caught.value.message for name in NAMES)


def test_knowing_the_platforms_loads_no_http_and_no_oauth_library() -> None:
    code = "import sys, chalicelib.platforms.registry; print({'urllib3', 'oauthlib'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"


@pytest.mark.parametrize("platform", BUILT, ids=lambda platform: platform.name)
def test_a_built_platform_can_be_tested_read_and_refreshed(platform: Platform) -> None:
    assert platform.identify
    assert platform.classify
    assert platform.hosts
    assert platform.oauth
    for stream in platform.streams:
        assert stream.scopes
        assert all(stream.scopes)
        assert platform.stream(stream.name) is stream


@pytest.mark.parametrize("platform", CONNECTABLE, ids=lambda platform: platform.name)
def test_a_connectable_platform_has_a_page_payloads_and_a_sandbox(
    platform: Platform,
) -> None:
    assert (ROOT / "docs" / "platforms" / f"{platform.name}.md").is_file()
    assert list((ROOT / "tests" / "platforms" / "payloads" / platform.name).glob("*.json"))
    assert platform.hosts
    assert platform.hosts <= served_by_sandbox()


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_headers_go_to_the_platforms_own_hosts(platform: Platform) -> None:
    for start, headers in platform.headers.items():
        assert urlsplit(start).scheme == "https"
        assert urlsplit(start).netloc in platform.hosts
        assert not {name.lower() for name in headers} & {"authorization", "content-type", "host"}


def scopes(*groups: tuple[str, ...]) -> Stream[Any]:
    return replace(BUILT[0].streams[0], scopes=groups, helpful_scopes=("helps",))


def test_of_each_group_of_scopes_one_is_asked_for_and_one_is_enough() -> None:
    stream = scopes(("read", "manage"), ("pages", "pages_all"))
    assert stream.asked_scopes == ("read", "pages", "helps")
    for granted, missing in (
        (None, ()),
        (["manage", "pages"], ()),
        (["read", "manage", "other"], ("pages",)),
        (["pages_all"], ("read",)),
        ([], ("read", "pages")),
    ):
        assert stream.find_missing_scopes(granted) == missing
        assert stream.is_covered_by(granted) == (not missing)


@pytest.mark.parametrize("platform", CONNECTABLE, ids=lambda platform: platform.name)
def test_a_connectable_platform_can_identify_the_account(platform: Platform) -> None:
    assert platform.identify
    assert platform.classify
    assert (platform.oauth is not None) is (platform.credential == "oauth")

"""Runs the environment's uv with pip's configuration: same index, certificates, proxy. Standard library only."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SECTIONS = ("global", "install", ":env:")
"""Sections of `pip config list`; later ones override earlier ones, as in pip."""
ONE_VALUE = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "retries": ("UV_HTTP_RETRIES",),
}
"""uv's variables per pip option; the first is set unless one of them already is."""
SEVERAL_VALUES = {
    "extra-index-url": (" ", "UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "trusted-host": (" ", "UV_INSECURE_HOST"),
    "find-links": (",", "UV_FIND_LINKS"),
}
"""As above, with uv's separator of values; pip uses white space."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def parse(lines: Iterable[str]) -> dict[str, str]:
    """The effective options from the lines of `pip config list`, such as `global.index-url='https://...'`."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in lines:
        name, _, value = line.partition("=")
        section, _, option = name.partition(".")
        if section in found:
            found[section][option] = ast.literal_eval(value)
    return {option: value for section in SECTIONS for option, value in found[section].items()}


def variables(options: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to set for uv. Those already set for uv take precedence over pip's configuration."""
    made = {}
    for option, names in ONE_VALUE.items():
        made[names[0]] = "" if any(environ.get(name) for name in names) else options.get(option, "").strip()
    for option, (separator, *others) in SEVERAL_VALUES.items():
        taken = any(environ.get(name) for name in others)
        made[others[0]] = "" if taken else separator.join(options.get(option, "").split())
    if timeout := options.get("timeout") or options.get("default-timeout"):
        made["UV_HTTP_TIMEOUT"] = environ.get("UV_HTTP_TIMEOUT") or str(max(1, round(float(timeout))))
    if proxy := options.get("proxy"):
        made |= dict.fromkeys(PROXIES, proxy if "://" in proxy else f"http://{proxy}")
    # pip searches every index for the best match; the hashes ensure that it is the right file.
    made["UV_INDEX_STRATEGY"] = environ.get("UV_INDEX_STRATEGY") or "unsafe-best-match"
    return {name: value for name, value in made.items() if value}


def flags(options: Mapping[str, str]) -> list[str]:
    """Options for which uv has no variable."""
    return ["--no-index"] if options.get("no-index", "").lower() in ("1", "true", "yes", "on", "y", "t") else []


def main(arguments: Sequence[str]) -> int:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    options = parse(listed.stdout.splitlines())
    env = {**os.environ, **variables(options, os.environ)}
    uv = Path(sys.executable).with_name("uv")
    try:
        return subprocess.run([uv, *arguments, *flags(options)], env=env, check=False).returncode
    except OSError as error:
        print(f"error: {uv} cannot be started: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

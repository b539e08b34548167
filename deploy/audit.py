"""`python -m deploy.audit`: checks that the pins are compatible and have no known vulnerabilities."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.advisories import find, read_records
from deploy.pins import LOCK, RUNTIME, read_pins

_PIP_AUDIT = ("pip_audit", "--disable-pip", "--vulnerability-service=osv", "--desc=off", "--progress-spinner=off")


def _fail(why: str) -> int:
    print(f"audit: {why}", file=sys.stderr)
    return 1


def audit_offline(advisories: Path) -> int:
    """Checks every pin against the advisories in a folder or zip; says which findings are deployed."""
    pins = read_pins(LOCK)
    deployed = {(pin.name, pin.version) for pin in read_pins(RUNTIME)}
    try:
        records = list(read_records(advisories))
    except (OSError, ValueError) as error:
        return _fail(f"the advisories in {advisories} cannot be read: {error}")
    if not records:
        return _fail(f"there are no advisories in {advisories}")
    found = find(pins, records)
    for finding in found:
        where = "deployed" if (finding.pin.name, finding.pin.version) in deployed else "development"
        print(f"{where}: {finding}")
    print(f"{len(found)} known vulnerabilities in {len(pins)} packages, by {len(records)} advisories")
    return 1 if found else 0


def audit_online() -> int:
    """Runs pip-audit on the lock: nothing is resolved, and only names and versions leave the machine."""
    command = [sys.executable, "-m", *_PIP_AUDIT, "--requirement", str(LOCK)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if "Traceback" in done.stderr:  # the error when OSV cannot be reached
        reason = done.stderr.strip().splitlines()[-1]
        return _fail(f"OSV could not be reached; ADVISORIES=<folder or zip> works without a network. {reason}")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.audit", description=__doc__)
    parser.add_argument("--advisories", type=Path, help="a folder or zip of OSV records, instead of querying a service")
    options = parser.parse_args(arguments)
    if options.advisories and not options.advisories.exists():
        parser.error(f"there is no {options.advisories}")
    consistent = subprocess.run([sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]).returncode
    return consistent or (audit_offline(options.advisories) if options.advisories else audit_online())


if __name__ == "__main__":
    sys.exit(main())

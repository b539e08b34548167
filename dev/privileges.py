"""The user PostgreSQL runs as: it refuses root, the usual user in a container."""

import os
import pwd
import subprocess
from pathlib import Path

from dev import process
from dev.errors import StackError


def as_owner_of(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root, the usual user in a container; then it runs as the folder's owner.

    The only capability kept lets it access its programs and data below a home folder that is closed to others.
    """
    if os.geteuid() != 0:
        return []
    program = process.setpriv()
    if program is None:
        raise StackError("PostgreSQL does not run as root: run as another user, or install setpriv (util-linux)")
    owner = folder.stat()
    if owner.st_uid == 0:
        raise StackError(f"PostgreSQL does not run as root, but {folder} belongs to root")
    capability = "-all,+dac_override"
    command = [program, "--reuid", str(owner.st_uid), "--regid", str(owner.st_gid), "--clear-groups"]
    command += ["--inh-caps", capability, "--ambient-caps", capability]
    if subprocess.run(
        [*command, "true"], env={"PATH": os.environ.get("PATH", os.defpath)}, capture_output=True, check=False
    ).returncode:
        raise StackError("PostgreSQL does not run as root, and this container may not change the user: run as another")
    # Changing the user clears the parent-death signal, so it is set again.
    return [*command, "--pdeathsig", "INT", "--"]


def unprivileged_ids() -> tuple[int, int]:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return nobody.pw_uid, nobody.pw_gid

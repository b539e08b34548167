"""Who PostgreSQL runs as: it refuses root, which is who one is in a container."""

import os
import pwd
import subprocess
from pathlib import Path

from dev import process
from dev.errors import StackError


def as_owner_of(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root, which is who one is in a container; then it runs as the folder's owner.

    The one capability kept lets it reach its programs and data below a home folder that is closed to others.
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
    # The change of user clears the tether that the parent's death pulls, so it is tied again.
    return [*command, "--pdeathsig", "INT", "--"]


def unprivileged_ids() -> tuple[int, int]:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return nobody.pw_uid, nobody.pw_gid

"""The fork server: a process with the workers already imported that forks one on request, so that kills are cheap.

Reads one JSON order per line and replies with one line each. It ends, with all its children, when its input does.
"""

import json
import os
import signal
import sys
from typing import Any

import boto3
import urllib3  # noqa: F401  imported here, once, so that no forked worker has to

import chalicelib.security.encryption_sdk  # noqa: F401
from chaos import roles

Order = dict[str, Any]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the harness, which then closes our input
    boto3.client("sqs")  # loads the service description, so that children inherit it
    print("fork_server ready", flush=True)
    while line := sys.stdin.readline():
        print(json.dumps(obey(json.loads(line))), flush=True)
    os.killpg(0, signal.SIGKILL)


def obey(order: Order) -> Order:
    """Children are reaped only here, after the kill, so that a process id is never reused before."""
    if "kill" in order:
        try:
            os.kill(order["kill"], signal.SIGKILL)
            os.waitpid(order["kill"], 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # an interrupted harness repeats the order
        return {}
    pid = os.fork()
    if pid:
        return {"pid": pid}
    try:
        _become(order)
    finally:
        os._exit(1)


def _become(order: Order) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.update(order["env"])
    roles.ROLES[order["role"]](**order["options"])


if __name__ == "__main__":
    main()

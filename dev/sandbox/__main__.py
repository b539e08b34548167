"""`python -m dev.sandbox --port N` serves the sandbox until SIGTERM or SIGINT."""

import argparse
import signal
import sys
from pathlib import Path

from dev.sandbox.sandbox import Sandbox

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port; 0, the default, picks a free one")
    parser.add_argument("--state", type=Path, metavar="DIR", help="folder that keeps revocations between runs")
    options = parser.parse_args()
    # Blocked before any thread starts: a signal delivered to a request's thread would not wake this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        sandbox = Sandbox(options.port, state_dir=options.state)
    except OSError as error:
        print(f"sandbox cannot listen on port {options.port}: {error.strerror}", file=sys.stderr)
        return 1
    with sandbox:
        print(f"sandbox ready on {sandbox.url}", flush=True)
        signal.sigwait(STOP_SIGNALS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

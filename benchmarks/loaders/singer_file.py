"""Feeds a file of Singer messages to Meltano's target-postgres. Reads its order from stdin; prints seconds."""

import json
import sys
import time
from contextlib import redirect_stdout

from target_postgres.target import TargetPostgres  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    order = json.load(sys.stdin)
    started = time.perf_counter()
    with redirect_stdout(sys.stderr):  # where a target writes its state
        target = TargetPostgres(config=order["config"])
        with open(order["messages"]) as messages:
            target.listen(messages)
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()

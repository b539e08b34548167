"""Makes the demo studio and writes an API key for it to the given file. A process of its own, for its settings."""

import sys
from pathlib import Path

from chalicelib.services.api_keys import create_api_key
from chalicelib.services.studios import create_studio
from dev.private import write_private


def main() -> None:
    studio_id = create_studio("Demo Studio", time_zone="Europe/Berlin")
    key = create_api_key(studio_id, "local stack", ["admin"])
    write_private(Path(sys.argv[1]), key.reveal())


if __name__ == "__main__":
    main()

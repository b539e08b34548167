"""Creates the demo studio and writes an API key for it to the given file. A separate process with its own settings."""

import sys
from pathlib import Path

from chalicelib.services.studios import create_studio_with_key
from dev.private import write_private


def main() -> None:
    _, key = create_studio_with_key("Demo Studio", time_zone="Europe/Berlin")
    write_private(Path(sys.argv[1]), key.token.reveal())


if __name__ == "__main__":
    main()

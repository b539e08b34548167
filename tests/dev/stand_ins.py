"""Programs that pages use and this machine may lack: `python -m tests.dev.stand_ins curl ...`, beside a running stack.

`aws` gives the admin function its command, and refuses everything else. `curl` knows the options that pages use, and
writes the response's status to the standard error.
"""

import http.client
import json
import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from urllib.parse import urlsplit


def aws(arguments: list[str]) -> None:
    # Here, because `curl` starts faster without the product.
    from chalicelib.runtime.decoding import decode_values
    from chalicelib.services.operations.commands import COMMANDS
    from dev import admin
    from dev.options import Options

    parser = ArgumentParser("aws", allow_abbrev=False)
    parser.add_argument("words", nargs=2)
    parser.add_argument("out", type=Path)
    for option in ("--function-name", "--payload", "--cli-binary-format", "--cli-read-timeout"):
        parser.add_argument(option, required=True)
    given = parser.parse_args(arguments)
    if given.words != ["lambda", "invoke"] or not given.function_name.endswith("-admin"):
        parser.error(f"the stack has no {given.words} of {given.function_name}")
    command = json.loads(given.payload)
    kind = COMMANDS[command.pop("command")]
    result = admin.run(decode_values(command, kind), Options.from_environ(os.environ))
    with given.out.open("w") as file:
        json.dump(result, file)


def curl(arguments: list[str]) -> None:
    given = _curl_options(arguments)
    url = urlsplit(given.url)
    if not url.netloc:
        sys.exit(f"curl: {given.url!r} names no host")
    headers = dict(header.split(": ", 1) for header in given.header)
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    method = given.request or ("POST" if given.data else "GET")
    connection.request(method, given.url.split(url.netloc, 1)[1], given.data, headers)
    response = connection.getresponse()
    if given.include:
        print(f"HTTP/1.1 {response.status} {response.reason}", response.headers, sep="\n", end="")
    print(response.read().decode())
    print(response.status, file=sys.stderr)
    connection.close()


def _curl_options(arguments: list[str]) -> Namespace:
    parser = ArgumentParser("curl", allow_abbrev=False)
    parser.add_argument("url")
    parser.add_argument("-s", "--silent", action="store_true")
    parser.add_argument("-i", "--include", action="store_true")
    parser.add_argument("-X", "--request")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-d", "--data")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    {"aws": aws, "curl": curl}[sys.argv[1]](sys.argv[2:])

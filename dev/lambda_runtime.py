"""A Lambda container on this machine: AWS's own runtime client as a child process, talking to dev/runtime_api.py.

Its environment follows the Lambda Developer Guide, "Defined runtime environment variables". The child can import the
unpacked package, the client and the runtime's boto3, nothing else.
"""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from dev.errors import StackError
from dev.invocation import ACCOUNT, REGION
from dev.ports import HOST
from dev.runtime_api import Invocation, Outcome, RuntimeApi

CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
BOTO3 = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""Included in the runtime: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html"""
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Function:
    """A function as the packaged template describes it."""

    name: str
    handler: str
    memory_mib: int
    timeout_seconds: int


@dataclass(frozen=True)
class Usage:
    """Resource usage of one container, from its start to its end."""

    cpu_ms: float
    peak_mib: float


def functions(template: Mapping[str, Any], stage: str) -> dict[str, Function]:
    """By logical id; the template is the packaged one, with `Stage` as its parameter."""
    return {
        logical_id: Function(
            name=resource["Properties"]["FunctionName"]["Fn::Sub"].replace("${Stage}", stage),
            handler=resource["Properties"]["Handler"],
            memory_mib=resource["Properties"]["MemorySize"],
            timeout_seconds=resource["Properties"]["Timeout"],
        )
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def lay_out_runtime(folder: Path) -> Path:
    """Fills a folder with links to what Lambda's Python runtime has in addition to the standard library."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*CLIENT, *BOTO3):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise StackError(f"the package {name}, which the Lambda runtime has, is not installed")
        origin = Path(spec.origin)
        source = origin.parent if spec.submodule_search_locations else origin
        (folder / source.name).symlink_to(source)
    return folder


class Container:
    """One container of a function, started at once. A context manager; `output` is everything it has printed.

    `package` is the unpacked zip, `runtime` a folder filled by `lay_out_runtime`. `environ` adds to and overrides
    what Lambda itself sets.
    """

    def __init__(
        self, function: Function, package: Path, runtime: Path, environ: Mapping[str, str], *, log: Path
    ) -> None:
        self.function = function
        self._log = log
        self._api = RuntimeApi()
        self._usage: Usage | None = None
        env = {**_environment(function, package, runtime, self._api.server_port), **environ}
        with log.open("wb") as output:
            self.started_at = time.perf_counter()
            self.process = subprocess.Popen(
                # Without `site`, there are no site-packages.
                [sys.executable, "-S", "-m", "awslambdaric", function.handler],
                cwd=package,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def invoke(self, event: Any) -> Outcome:
        """Raises StackError if the container ends before it responds."""
        deadline = int((time.time() + self.function.timeout_seconds) * 1000)
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function.name}"
        invocation = Invocation(json.dumps(event).encode(), deadline, arn)
        self._api.waiting.put(invocation)
        return self._wait(invocation.outcome)

    def init_error(self) -> Mapping[str, Any]:
        """Waits for the runtime client's report about a module that cannot be imported."""
        return self._wait(self._api.init_error).error or {}

    def freeze(self) -> None:
        """As Lambda does between two invocations."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> int:
        """Ends a container that has an extension, as Lambda does. Returns the exit code."""
        self.process.terminate()
        return self.process.wait(10)

    def stop(self) -> Usage:
        """Ends the container, as Lambda does with one that has no extension."""
        if self._usage is None:
            peak_mib = _peak_mib(self.process.pid)
            self.process.kill()
            self._usage = Usage(_wait_for_cpu_ms(self.process), peak_mib)
            self._api.stop()
        return self._usage

    def _wait(self, outcome: Future[Outcome]) -> Outcome:
        deadline = time.monotonic() + self.function.timeout_seconds
        while time.monotonic() < deadline:
            try:
                return outcome.result(LOOK_SECONDS)
            except TimeoutError:
                if self.process.poll() is not None and not outcome.done():
                    raise StackError(f"{self.function.name} ended with {self.process.returncode}") from None
        raise StackError(f"{self.function.name} did not respond in {self.function.timeout_seconds} seconds")


def _environment(function: Function, package: Path, runtime: Path, port: int) -> dict[str, str]:
    return {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mib),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"2026/01/01/[$LATEST]{uuid4().hex}",
        "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port}",
        "AWS_REGION": REGION,
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "LAMBDA_TASK_ROOT": str(package),
        "LANG": "en_US.UTF-8",
        "PATH": os.defpath,
        "PYTHONDONTWRITEBYTECODE": "1",  # the package's folder is read-only in Lambda
        "PYTHONPATH": f"{package}:{runtime}",
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }


def _peak_mib(pid: int) -> float:
    """Of the program alone; getrusage would include the time before the exec, when it is as large as this process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) / 1024 if peak else 0.0


def _wait_for_cpu_ms(process: subprocess.Popen[bytes]) -> float:
    if process.returncode is not None:
        return 0.0
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return (usage.ru_utime + usage.ru_stime) * 1000

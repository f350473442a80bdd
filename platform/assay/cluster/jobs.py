"""Jobs: a script and its code are sent to a cluster; the log comes back, and the exit code is the script's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from assay.cluster.ray_internals import JOB_LOGGERS
from assay.errors import AssayError, UserError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

FOLDERS = ("platform", "methods", "studies")  # of a checkout: all code that runs on a cluster
CODE_PATH = "platform:."  # PYTHONPATH where these folders lie in the working folder
STOPPED = 130
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info")
_POLL = 1.0  # seconds


def submit(address: str, argv: Sequence[str], *, root: Path, print_line: Callable[[str], None]) -> int:
    """Run a script of the checkout `root`, with its flags, as a job, print its log, and return its exit code.

    The exit code is 130 where the job was stopped, or where Ctrl-C ended the printing (the job goes on).

    address: of the cluster's dashboard, http://head:8265
    argv: the script and its flags, without the flag that names the address
    """
    command = entrypoint(argv, root)
    client = _client(address)
    with code_copy(root) as folder:
        job = _start(client, command, folder)
    print_line(f"job {job} runs on {address}: {command}")
    try:
        with _interrupts() as interrupted:
            details = _follow(client, job, address, interrupted)
    except KeyboardInterrupt:
        print_line(
            f"job {job} goes on. Follow it: ray job logs --follow --address {address} {job}\n"
            f"Stop it: ray job stop --address {address} {job}"
        )
        return STOPPED
    return _exit_code(details, job, print_line)


def entrypoint(argv: Sequence[str], root: Path) -> str:
    """Return the shell command that runs the script in the copy of the code."""
    script = Path(argv[0])
    full = script if script.is_absolute() else root / script
    try:
        relative = full.resolve(strict=True).relative_to(root.resolve())
    except (FileNotFoundError, ValueError):
        relative = Path()
    if len(relative.parts) < 2 or relative.parts[0] not in FOLDERS:
        raise UserError(
            f"only a script in {', '.join(FOLDERS)} of {root} can be submitted as a job, got {argv[0]!r}: "
            "these are the folders that are sent along."
        )
    # The head node, whose environment has Ray, looks `python` up; this machine's interpreter is not there.
    return shlex.join(["python", relative.as_posix(), *argv[1:]])


@contextlib.contextmanager
def code_copy(root: Path) -> Iterator[Path]:
    """Yield a temporary folder with the code of a checkout and nothing else: no data, no results."""
    with tempfile.TemporaryDirectory(prefix="assay-code-") as folder:
        for name in FOLDERS:
            if (root / name).is_dir():
                shutil.copytree(root / name, Path(folder) / name, ignore=_LEFT_OUT)
        yield Path(folder)


def checkout() -> Path | None:
    """Return the checkout from which this package is imported, or None where it is installed."""
    platform = Path(__file__).resolve().parents[2]
    return platform.parent if platform.name == "platform" and (platform.parent / "methods").is_dir() else None


def _client(address: str) -> JobSubmissionClient:
    import requests
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    # Ray prefers these variables to the address that it is given.
    hidden = {name: os.environ.pop(name, None) for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")}
    try:
        return JobSubmissionClient(address)
    except AuthenticationError:
        raise UserError(
            f"the Ray cluster at {address} asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN."
        ) from None
    except (ConnectionError, RuntimeError, ValueError, requests.RequestException) as problem:
        raise UserError(
            f"no Ray cluster takes jobs at {address} ({_first_line(problem)}): "
            "give the address of a cluster's dashboard, http://HEAD:8265."
        ) from None
    finally:
        os.environ.update({name: value for name, value in hidden.items() if value is not None})


def _start(client: JobSubmissionClient, command: str, folder: Path) -> str:
    import requests

    for name in JOB_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    environment = {"working_dir": str(folder), "env_vars": {"PYTHONPATH": CODE_PATH}}
    try:
        return client.submit_job(entrypoint=command, runtime_env=environment)
    except (RuntimeError, requests.RequestException) as problem:
        raise AssayError(f"the cluster refused the job: {_first_line(problem)}") from problem


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Within the block, let Ctrl-C raise KeyboardInterrupt and set an event, since log readers may catch the exception.

    asyncio installs its own handler, which cancels a task instead, only where the present one is Python's.
    """
    interrupted = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(client: JobSubmissionClient, job: str, address: str, interrupted: threading.Event) -> JobDetails:
    """Print the job's log until the job ends; connect again where the connection breaks."""
    import requests

    printed = 0
    while True:
        printed = asyncio.run(_print_log(client, job, printed))
        if interrupted.is_set():
            raise KeyboardInterrupt
        try:
            details = client.get_job_info(job)
        except (RuntimeError, requests.RequestException) as problem:
            raise AssayError(
                f"{address} no longer answers ({_first_line(problem)}); job {job} may go on: "
                f"ray job status --address {address} {job} shows its state."
            ) from None
        if details.status.is_terminal():
            return details
        time.sleep(_POLL)


async def _print_log(client: JobSubmissionClient, job: str, printed: int) -> int:
    """Print the log after its first `printed` characters; return how many characters are printed now."""
    import aiohttp

    received = 0
    with contextlib.suppress(RuntimeError, aiohttp.ClientError):  # the connection broke
        async for text in client.tail_job_logs(job):
            sys.stdout.write(text[max(0, printed - received) :])
            sys.stdout.flush()
            received += len(text)
    return max(received, printed)


def _exit_code(details: JobDetails, job: str, print_line: Callable[[str], None]) -> int:
    status = str(details.status.value)
    if status == "SUCCEEDED":
        return 0
    if status == "STOPPED":
        print_line(f"job {job} was stopped")
        return STOPPED
    code = details.driver_exit_code
    if code is None:
        print_line(f"job {job} failed: {details.message}")
        return 1
    print_line(f"job {job} failed with exit code {code}")
    return code if code > 0 else 128 - code  # negative: the signal that ended it


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")

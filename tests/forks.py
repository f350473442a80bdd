"""Processes forked from a server that has imported everything, so that their start costs no imports."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

# Importing these modules starts no thread, so a process that has imported them can be forked.
PRELOADED = ["timm", "pytest", "helpers", "assay.commands.show", "assay.training.session"]


def start_fork(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a process that calls `work` with one thread. `work` must be a function of a module."""
    _preload()
    process = multiprocessing.get_context("forkserver").Process(target=_with_one_thread, args=(work, arguments))
    process.start()
    return process


def on_two_ranks(work: Callable[..., None], *arguments: object) -> None:
    """Call `work` on both ranks of a group, each with one thread. An exception of a rank is raised here."""
    _preload()
    with tempfile.TemporaryDirectory() as folder:
        start_processes(_on_one_rank, args=(folder, work, arguments), nprocs=2, start_method="forkserver")


def _preload() -> None:
    multiprocessing.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # else the server would start it with the environment below
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # before Python 3.13 the server ignores our sys.path
        forkserver.ensure_running()


def _with_one_thread(work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    # The server may have been started by a loader, which blocks Ctrl-C for its children.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    torch.set_num_threads(1)
    work(*arguments)


def _on_one_rank(rank: int, folder: str, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    _with_one_thread(work, arguments)
    dist.destroy_process_group()

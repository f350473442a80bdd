"""Two ranks as forks of one process that has imported torch and its companions: a start costs no imports."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

# Importing these starts no thread, so a process that has can be forked.
PRELOADED = ["torchvision.transforms.v2", "timm", "pytest"]


def on_two_ranks(work: Callable[..., None], *arguments: object) -> None:
    """Call `work` on both ranks of a group, each with one thread; what one of them raises is raised here."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        start_processes(_on_one, args=(folder, work, arguments), nprocs=2, start_method="forkserver")


def _on_one(rank: int, folder: str, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    work(*arguments)
    dist.destroy_process_group()

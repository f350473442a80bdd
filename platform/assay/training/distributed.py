"""The process group of several ranks, started by torchrun or by anything that sets its variables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from assay.errors import UserError
from assay.experiment import Runtime
from assay.training.environment import pick_device

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def process_group(runtime: Runtime) -> Iterator[None]:
    """Join the other ranks within the block, if there are any; with NCCL on GPUs, with gloo elsewhere."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise UserError(f"WORLD_SIZE is set and {', '.join(missing)} is not; start several ranks with torchrun.")
    device = pick_device(runtime.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        # After an error this closes the connections, so that ranks waiting for this one end as well.
        dist.destroy_process_group()

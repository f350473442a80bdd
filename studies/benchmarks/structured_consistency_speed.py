"""The time and memory of the structured consistency loss, against Eq. 8 as it is written.

    python studies/benchmarks/structured_consistency_speed.py      about two minutes and 8 GB of memory on one core

One run prints, for 32 boxes on images with 19 classes:
- forward and backward of Eq. 10 (the last 16 boxes, 9000 pairs each) at rising sizes, beside the direct reading of
  Eq. 8 on the same boxes up to --direct pixels: all similarities of a box as one matrix;
- Eq. 10 at the largest size with other numbers of boxes and pairs, and with pixels dropped instead of pairs;
- its share of a training step of DeepLabv3+ on ResNet-18 at the largest size: one labelled and one mixed image.

Memory is the highest sum of what torch has allocated at once, beyond the predictions; the gradient of the student's
prediction is part of it. Times are the processor's, so that other load on the machine hardly counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler writes about missing GPUs

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.data.batch import Batch, BoxMaps, Labeled, Unlabeled  # noqa: E402
from assay.data.boxes import draw_boxes, largest_box, paint  # noqa: E402
from assay.data.views import Boxes  # noqa: E402
from assay.method import Step  # noqa: E402
from assay.nets.network import Network, build_network  # noqa: E402
from assay.nets.spec import DeepLabV3Plus, Encoder, Net  # noqa: E402
from methods.losses import structured_consistency  # noqa: E402
from methods.structured_consistency import ManyBoxes, StructuredConsistency  # noqa: E402

CLASSES = 19
BOXES = ManyBoxes()
ROUNDS = 3  # the best of them counts: other load on the machine can only slow a run down


@dataclasses.dataclass(frozen=True)
class Cost:
    """The time and the memory of a loss, forward and backward."""

    seconds: float
    bytes: int

    def __str__(self) -> str:
        return f"{self.seconds:8.2f} s {self.bytes / 1e6:8.0f} MB"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """Predictions on one mixed image, and its boxes."""

    student: torch.Tensor
    teacher: torch.Tensor
    owner: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def draw(cls, size: int, boxes: Boxes = BOXES) -> Example:
        """Draw predictions on an image of size x size pixels, and boxes."""
        generator = torch.Generator().manual_seed(0)
        corners = draw_boxes(np.random.default_rng(0), size, size, boxes)
        mask, owner = paint(torch.from_numpy(corners)[None], size, size, boxes.rule)
        student, teacher = (torch.randn(1, CLASSES, size, size, generator=generator).softmax(1) for _ in range(2))
        return cls(student=student.requires_grad_(), teacher=teacher, owner=owner, mask=mask)


def main() -> None:
    """Measure, and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=(224, 448, 640, 896), help="sides of the images (224 448 640 896)"
    )
    parser.add_argument("--direct", type=int, default=640, help="largest side for Eq. 8 as written (default: 640)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sampled(Example.draw(64)).backward()  # warm-up
    print_growth(sorted(options.sizes), options.direct)
    largest = max(options.sizes)
    print_settings(largest)
    print_share_of_a_step(largest)


def sampled(example: Example, *, boxes: int = 16, pairs: int = 9000, drop: str = "pairs") -> torch.Tensor:
    """Return Eq. 10, as the method calls it."""
    height, width = example.owner.shape[1:]
    return structured_consistency(
        example.student,
        example.teacher,
        example.owner,
        boxes=boxes,
        pairs=pairs,
        generator=torch.Generator().manual_seed(0),
        num_boxes=BOXES.num_boxes,
        largest=largest_box(height, width, BOXES),
        drop="pixels" if drop == "pixels" else "pairs",
    )


def direct(example: Example, *, boxes: int = 16) -> torch.Tensor:
    """Return Eq. 8 of the last boxes, as it is written."""
    terms = []
    for box in range(BOXES.num_boxes - boxes, BOXES.num_boxes):
        inside = example.owner[0] == box
        vectors = (prediction[0][:, inside] for prediction in (example.student, example.teacher))
        student, teacher = (each / each.norm(dim=0) for each in vectors)
        terms.append((student.T @ student - teacher.T @ teacher).square().mean())
    return torch.stack(terms).mean()


def cost(example: Example, loss: Callable[[Example], torch.Tensor], rounds: int = ROUNDS) -> Cost:
    """Measure a loss with its gradient."""

    def run() -> None:
        torch.autograd.grad(loss(example), example.student)

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        seconds = [timed(run)]
    seconds += [timed(run) for _ in range(rounds - 1)]
    return Cost(min(seconds), highest_sum(profiled))


def timed(run: Callable[[], object]) -> float:
    """Return the processor's seconds of a call."""
    began = time.process_time()
    run()
    return time.process_time() - began


def highest_sum(profiled: profile) -> int:
    """Return the most bytes that were allocated at once while a profiler ran."""
    assert profiled.profiler is not None
    results: Any = profiled.profiler.kineto_results
    events = [event for event in results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max())


def print_growth(sizes: list[int], most: int) -> None:
    """Print both losses at rising sizes."""
    print(f"{'':11}{'Eq. 10: 16 boxes, 9000 pairs':^22}{'Eq. 8 as written':^24}   time and memory, times Eq. 10")
    for size in sizes:
        example = Example.draw(size)
        ours = cost(example, sampled)
        line = f"{size:4} x {size:<4}{ours}"
        if size <= most:
            theirs = cost(example, direct, rounds=1)
            line += f"{theirs}   {theirs.seconds / ours.seconds:6.0f} {theirs.bytes / ours.bytes:6.0f}"
        print(line, flush=True)


def print_settings(size: int) -> None:
    """Print Eq. 10 with other numbers of boxes and pairs."""
    print(f"Eq. 10 at {size} x {size}")
    example = Example.draw(size)
    for boxes, pairs, drop in ((16, 9000, "pairs"), (1, 9000, "pairs"), (32, 9000, "pairs"), (16, 900, "pairs"),
                               (16, 90_000, "pairs"), (16, 9000, "pixels")):  # fmt: skip
        spent = cost(example, functools.partial(sampled, boxes=boxes, pairs=pairs, drop=drop))
        print(f"  {boxes:2} boxes, {pairs:6} pairs, {drop + ' dropped':15}{spent}", flush=True)


def print_share_of_a_step(size: int) -> None:
    """Print the loss's share of a training step."""
    example = Example.draw(size)
    method = StructuredConsistency()
    nets = method.networks(_MakeResNet18())
    optimizer = torch.optim.SGD(nets["student"].parameters(), lr=0.001)
    batch = batch_of(example)

    def step() -> None:
        losses = method.loss(nets, batch, Step(index=0, total=1))
        torch.stack([term.weight * term.value for term in losses.terms.values()]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(nets, Step(index=0, total=1))

    nets.train()
    whole = timed(step)
    part = min(timed(lambda: torch.autograd.grad(sampled(example), example.student)) for _ in range(ROUNDS))
    print(
        f"a step of DeepLabv3+ on ResNet-18 at {size} x {size} takes {whole:.1f} s, Eq. 10 {part:.2f} s of it:"
        f" {100 * part / whole:.1f} %"
    )


class _MakeResNet18:
    """A factory of networks for `StructuredConsistency.networks`."""

    def __call__(self, net: Net | None = None) -> Network:
        spec = Net(encoder=Encoder(arch="resnet18"), head=DeepLabV3Plus())
        return build_network(net or spec, CLASSES)

    def trained(self, field: str) -> Network:
        raise NotImplementedError(field)


def batch_of(example: Example) -> Batch:
    """Return a batch of one labelled and one mixed image."""
    _, height, width = example.owner.shape
    valid = torch.ones(1, height, width, dtype=torch.bool)
    label = example.teacher.argmax(dim=1)
    images = [torch.randn(1, 3, height, width) for _ in range(3)]
    return Batch(
        labeled=Labeled(weak=images[0], label=label, valid=valid),
        unlabeled=tuple(Unlabeled(weak=each, strong=(), valid=valid, truth=label) for each in images[1:]),
        boxes=BoxMaps(mask=example.mask, owner=example.owner),
    )


if __name__ == "__main__":
    main()

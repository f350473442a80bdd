"""The speed of the input pipeline, and the share of a training step outside forward and backward.

    python studies/benchmarks/input_benchmark.py            about two minutes on one core

One run prints:
- images per second and core of this project's input (read, crop, one weak and two strong views at 321), beside the
  field's usual PIL pipeline;
- the share of a step outside the loss's forward and backward, for ResNet-18 at 321 and for the drawn textures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image, ImageFilter
from torchvision import transforms

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.data.normalize import IMAGENET  # noqa: E402
from assay.data.source import Source  # noqa: E402
from assay.data.sources import Folder  # noqa: E402
from assay.data.splits import split  # noqa: E402
from assay.data.views import Views  # noqa: E402
from assay.experiment import Experiment, Runtime  # noqa: E402
from assay.overrides import apply, overrides_of  # noqa: E402
from assay.places import Places  # noqa: E402
from assay.presets import starting_point  # noqa: E402
from assay.resolve import resolve  # noqa: E402
from assay.training.loading import BatchPlan, batches, on_device  # noqa: E402
from assay.training.loop import Training  # noqa: E402

CROP = 321
NUM_IMAGES = 32
VOC_SIZE = (375, 500)  # height and width of most of VOC's images


def main() -> None:
    """Measure, and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128, help="images per measurement (default: 128)")
    parser.add_argument(
        "--steps", type=int, default=4, help="steps of ResNet-18 (default: 4); 25 times as many on textures"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        places = Places(data=Path(folder))
        write_images(Path(folder) / "pictures")
        ours = images_per_second(lambda: load_ours(places, options.images))
        usual = images_per_second(lambda: load_with_pil(Path(folder) / "pictures" / "images", options.images))
        print(f"input at {CROP}, one weak and two strong views, images per second and core")
        print(f"  this project  {ours:7.1f}")
        print(f"  PIL           {usual:7.1f}   ({ours / usual:.1f} times as fast)")
        print("share of a step outside forward and backward")
        for name, experiment, steps in cases(options.steps):
            share, milliseconds = overhead(experiment, places, steps)
            print(f"  {name:34} {100 * share:5.1f} %   of {milliseconds:.1f} ms")


def write_images(folder: Path) -> None:
    """Write JPEGs of VOC's size, as smooth as photographs, and masks."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(NUM_IMAGES):
        noise = Image.fromarray(rng.integers(0, 256, (*VOC_SIZE, 3), dtype=np.uint8))
        coarse = noise.resize((25, 19)).resize(VOC_SIZE[::-1], Image.Resampling.BICUBIC)
        picture = Image.blend(coarse, noise.filter(ImageFilter.GaussianBlur(1)), 0.3)
        picture.save(folder / "images" / f"{index}.jpg", quality=90)
        blocks = Image.fromarray(rng.integers(0, 21, (6, 8), dtype=np.uint8))
        blocks.resize(VOC_SIZE[::-1], Image.Resampling.NEAREST).save(folder / "masks" / f"{index}.png")


def images_per_second(load: Callable[[], int]) -> float:
    """Return the best rate of three runs after a warm-up: other load on the machine can only slow a run down."""
    load()
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        num_images = load()
        rates.append(num_images / (time.perf_counter() - began))
    return max(rates)


def pictures_experiment(changes: Mapping[str, object]) -> Experiment:
    """Return a training on the written images at CROP."""
    paths = {
        "data.source.path": "pictures",
        "data.source.num_labels": 21,
        "recipe.augment.crop": (CROP, CROP),
        "recipe.labeled_batch": 4,
        "recipe.unlabeled_batch": 4,
        "recipe.steps": 1000,
    }
    return apply(starting_point("supervised", "folder"), overrides_of(paths | dict(changes), "benchmark"))


def load_ours(places: Places, num_images: int) -> int:
    """Run this project's loader and device part: a weak and two strong views of each unlabelled image."""
    experiment = pictures_experiment({})
    source: Source = experiment.data.source
    assert isinstance(source, Folder)
    # The labelled stream has no strong views: it is as small as possible, and its images do not count.
    recipe = experiment.recipe.replace(labeled_batch=1, unlabeled_batch=8)
    views = Views(unlabeled=1, strong=2)
    images = split(source, experiment.data.split, places)
    plan = BatchPlan.make(source, images, views, recipe, places=places, normalization=IMAGENET, seed=0)
    steps = max(1, num_images // 8)
    for raw in batches(plan, range(steps)):
        on_device(raw[0], views, recipe.augment, device=torch.device("cpu"))
    return 8 * steps


def load_with_pil(folder: Path, num_images: int) -> int:
    """Run the pipeline of the field's public code: PIL and torchvision, image by image, the whole image resized."""
    to_tensor = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    jitter = transforms.RandomApply([transforms.ColorJitter(0.5, 0.5, 0.5, 0.25)], p=0.8)
    grey = transforms.RandomGrayscale(p=0.2)
    rng = np.random.default_rng(0)
    for index in range(num_images):
        name = index % NUM_IMAGES
        image = Image.open(folder / f"{name}.jpg").convert("RGB")
        mask: Image.Image = Image.open(folder.parent / "masks" / f"{name}.png")
        scale = rng.uniform(0.5, 2.0)
        size = (round(image.width * scale), round(image.height * scale))
        image, mask = image.resize(size, Image.Resampling.BILINEAR), mask.resize(size, Image.Resampling.NEAREST)
        left = int(rng.integers(0, max(1, size[0] - CROP + 1)))
        top = int(rng.integers(0, max(1, size[1] - CROP + 1)))
        box = (left, top, left + CROP, top + CROP)
        weak, label = image.crop(box), mask.crop(box)
        if rng.random() < 0.5:
            weak = weak.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            label = label.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        torch.from_numpy(np.array(label)).long()
        to_tensor(weak)
        for _ in range(2):
            strong = grey(jitter(weak))
            if rng.random() < 0.5:
                strong = strong.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.1, 2.0))))
            to_tensor(strong)
    return num_images


def cases(steps: int) -> list[tuple[str, Experiment, int]]:
    """Return the trainings of the second part: a name, an experiment and its steps."""
    resnet: dict[str, Any] = {"recipe.labeled_batch": 2, "net.encoder.arch": "resnet18"}
    return [
        ("supervised, ResNet-18 at 321", pictures_experiment(resnet), steps),
        ("supervised, textures", starting_point("supervised", "textures"), 25 * steps),
        ("CPS, textures", starting_point("cps", "textures"), 25 * steps),
    ]


class _NoRecorder:
    """A recorder that keeps nothing."""

    def write_line(self, line: object) -> None:
        pass

    def save_checkpoint(self, payload: object, step: int) -> None:
        pass

    def report_step(self, step: int, loss: float) -> None:
        pass


def overhead(experiment: Experiment, places: Places, steps: int) -> tuple[float, float]:
    """Return the share of the loop's time outside forward and backward, and the milliseconds per step."""
    training = Training(
        resolve(experiment, places),
        places=places,
        runtime=Runtime(device="cpu", log_every=10**6, checkpoint_every=10**6),
    )
    inside = [0.0]
    forward = training.module.forward

    def timed_forward(*arguments: object) -> object:
        began = time.perf_counter()
        losses = forward(*arguments)
        inside[0] += time.perf_counter() - began
        return losses

    backward = torch.Tensor.backward

    def timed_backward(self: torch.Tensor, *arguments: object, **named: object) -> None:
        began = time.perf_counter()
        backward(self, *arguments, **named)
        inside[0] += time.perf_counter() - began

    with (
        mock.patch.object(training.module, "forward", timed_forward),
        mock.patch.object(torch.Tensor, "backward", timed_backward),
    ):
        training.run(_NoRecorder(), stop=lambda: training.step >= 1)  # the first steps warm up
        inside[0] = 0.0
        first, began = training.step, time.perf_counter()
        training._stopping = False
        training.run(_NoRecorder(), stop=lambda: training.step >= first + steps)
        whole = time.perf_counter() - began
    return 1 - inside[0] / whole, 1000 * whole / (training.step - first)


if __name__ == "__main__":
    main()

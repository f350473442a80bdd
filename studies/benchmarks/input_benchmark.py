"""The speed of the input pipeline, and the share of a training step outside forward and backward.

    python studies/benchmarks/input_benchmark.py            about two minutes on one core

One run prints:
- images per second and core of this project's input, from files and from the cache, beside the field's usual PIL
  pipeline: read, crop, one weak and two strong views; in brackets, reading and cropping alone, which is all that the
  loader processes of this project do;
- the share of a step outside the loss's forward and backward, for ResNet-18 at 321 and for the drawn textures.

The images lie in the memory of the system (page cache) in all three cases, as they do from a training's second epoch
on if memory suffices. They are drawn, and take as many bits per pixel as photographs, which decides how long decoding
takes: CamVid's JPEGs take 2.1, the same pictures as PNG 8.6. Seconds are those of the processor in this process, so
that other programs on the machine disturb them little.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
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

from assay.data.cache import TIME_STEP  # noqa: E402
from assay.data.normalize import IMAGENET  # noqa: E402
from assay.data.reading import read  # noqa: E402
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

ROUNDS = 3  # the best of them counts: other load on the machine can only slow a run down


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """The images of a data set's size and format."""

    name: str
    size: tuple[int, int]  # height and width
    suffix: str
    grain: float  # the standard deviation of the noise, which decides the size of the files
    crops: tuple[tuple[int, int], ...]
    number: int  # different images
    batch: int
    share: float  # of --images that is read in a measurement


VOC = Images(
    name="VOC",
    size=(375, 500),
    suffix=".jpg",
    grain=5.0,
    crops=((321, 321), (512, 512)),
    number=32,
    batch=8,
    share=1.0,
)
CITYSCAPES = Images(
    name="Cityscapes",
    size=(1024, 2048),
    suffix=".png",
    grain=0.8,
    crops=((800, 800), (512, 1024)),
    number=8,
    batch=4,
    share=0.125,
)


def main() -> None:
    """Measure, and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="images of VOC per measurement (default: 64)")
    parser.add_argument(
        "--steps", type=int, default=4, help="steps of ResNet-18 (default: 4); 25 times as many on textures"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        places = Places(data=Path(folder))
        print("images per second and core: one weak and two strong views (reading and cropping alone)")
        print(f"{'':36}{'from files':>16}{'from the cache':>16}{'PIL':>16}   times PIL")
        for images in (VOC, CITYSCAPES):
            write_images(Path(folder) / images.name, images)
            print(f"{images.name}: {bits_per_pixel(Path(folder) / images.name, images):.1f} bits per pixel")
            for crop in images.crops:
                print_speed(images, crop, places, max(images.batch, round(options.images * images.share)))
        print("share of a step outside forward and backward")
        for name, experiment, steps in cases(options.steps):
            share, milliseconds = overhead(experiment, places, steps)
            print(f"  {name:34} {100 * share:5.1f} %   of {milliseconds:.1f} ms")


def print_speed(images: Images, crop: tuple[int, int], places: Places, number: int) -> None:
    """Print a line for one kind of images and one crop."""
    cached = dataclasses.replace(places, cache=places.data / "cache")
    fill_cache(images, cached)
    runs: dict[str, Callable[[], int]] = {}
    for strong in (2, 0):
        runs[f"files {strong}"] = functools.partial(load_ours, images, crop, places, number, strong)
        runs[f"cache {strong}"] = functools.partial(load_ours, images, crop, cached, number, strong)
        runs[f"PIL {strong}"] = functools.partial(load_with_pil, images, crop, places, number, strong)
    rates = images_per_second(runs)
    columns = [f"{rates[f'{way} 2']:.1f} ({rates[f'{way} 0']:.0f})" for way in ("files", "cache", "PIL")]
    ratios = " and ".join(f"{rates[f'{way} 2'] / rates['PIL 2']:.1f}" for way in ("files", "cache"))
    size = f"{images.size[0]} x {images.size[1]}{images.suffix}, crop {crop[0]} x {crop[1]}"
    print(f"{images.name:11}{size:25}" + "".join(f"{column:>16}" for column in columns) + f"   {ratios}", flush=True)


def write_images(folder: Path, images: Images) -> None:
    """Write images whose spectrum falls off as that of photographs does, with the noise of a sensor, and masks."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(images.number):
        draw_photograph(rng, images.size, images.grain).save(folder / "images" / f"{index}{images.suffix}", quality=90)
        blocks = Image.fromarray(rng.integers(0, 21, (6, 8), dtype=np.uint8))
        blocks.resize(images.size[::-1], Image.Resampling.NEAREST).save(folder / "masks" / f"{index}.png")


def draw_photograph(rng: np.random.Generator, size: tuple[int, int], grain: float) -> Image.Image:
    """Return a sum of noise on grids of 8 pixels, 16, 32, …; each has half the contrast of the coarser one before it.

    grain: the standard deviation of the noise of single pixels
    """
    height, width = size
    total = np.zeros((height, width, 3), np.float32)
    side, contrast = 8, 60.0
    while side < max(size):
        shape = (max(1, side * height // max(size)), max(1, side * width // max(size)))
        for channel in range(3):
            noise = Image.fromarray(rng.normal(0, contrast, shape).astype(np.float32))
            total[..., channel] += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC))
        side, contrast = 2 * side, contrast / 2
    total += rng.normal(0, grain, total.shape).astype(np.float32)
    return Image.fromarray((128 + total).clip(0, 255).astype(np.uint8))


def bits_per_pixel(folder: Path, images: Images) -> float:
    """Return the bits that the files of the images take for a pixel."""
    files = list((folder / "images").iterdir())
    return 8 * sum(path.stat().st_size for path in files) / (len(files) * images.size[0] * images.size[1])


def images_per_second(runs: Mapping[str, Callable[[], int]]) -> dict[str, float]:
    """Return the best rate of each run after a warm-up; the runs take turns, so that all meet the same other load."""
    best = dict.fromkeys(runs, 0.0)
    for load in runs.values():
        load()
    for _ in range(ROUNDS):
        for name, load in runs.items():
            began = time.process_time()
            number = load()
            best[name] = max(best[name], number / (time.process_time() - began))
    return best


def pictures_experiment(images: Images, crop: tuple[int, int], changes: Mapping[str, object]) -> Experiment:
    """Return a training on the written images."""
    paths = {
        "data.source.path": images.name,
        "data.source.num_labels": 21,
        "recipe.augment.crop": crop,
        "recipe.labeled_batch": 4,
        "recipe.unlabeled_batch": 4,
        "recipe.steps": 1000,
    }
    return apply(starting_point("supervised", "folder"), overrides_of(paths | dict(changes), "benchmark"))


def source_of(images: Images) -> Folder:
    """Return the written images as a data set."""
    source: Source = pictures_experiment(images, images.crops[0], {}).data.source
    assert isinstance(source, Folder)
    return source


def fill_cache(images: Images, places: Places) -> None:
    """Read every image, once its file is old enough for the cache."""
    source = source_of(images)
    time.sleep(TIME_STEP + 0.1)
    for image_id in source.ids("train", places):
        read(source, image_id, places)


def load_ours(images: Images, crop: tuple[int, int], places: Places, number: int, strong: int) -> int:
    """Run this project's loader; with strong views also its device part, on the CPU."""
    experiment = pictures_experiment(images, crop, {})
    # The labelled stream has no strong views: it is as small as possible, and its images do not count.
    recipe = experiment.recipe.replace(labeled_batch=1, unlabeled_batch=images.batch)
    views = Views(unlabeled=1, strong=strong)
    parts = split(experiment.data.source, experiment.data.split, places)
    plan = BatchPlan.make(experiment.data.source, parts, views, recipe, places=places, normalization=IMAGENET, seed=0)
    steps = max(1, number // images.batch)
    for raw in batches(plan, range(steps)):
        if strong:
            on_device(raw[0], views, recipe.augment, device=torch.device("cpu"))
    return images.batch * steps


def load_with_pil(images: Images, crop: tuple[int, int], places: Places, number: int, num_strong: int) -> int:
    """Run the pipeline of the field's public code: PIL and torchvision, image by image, the whole image resized."""
    to_tensor = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    jitter = transforms.RandomApply([transforms.ColorJitter(0.5, 0.5, 0.5, 0.25)], p=0.8)
    grey = transforms.RandomGrayscale(p=0.2)
    rng = np.random.default_rng(0)
    folder = places.data / images.name
    for index in range(number):
        name = index % images.number
        image: Image.Image = Image.open(folder / "images" / f"{name}{images.suffix}").convert("RGB")
        mask: Image.Image = Image.open(folder / "masks" / f"{name}.png")
        scale = rng.uniform(0.5, 2.0)
        size = (round(image.width * scale), round(image.height * scale))
        image, mask = image.resize(size, Image.Resampling.BILINEAR), mask.resize(size, Image.Resampling.NEAREST)
        left = int(rng.integers(0, max(1, size[0] - crop[1] + 1)))
        top = int(rng.integers(0, max(1, size[1] - crop[0] + 1)))
        box = (left, top, left + crop[1], top + crop[0])
        weak, label = image.crop(box), mask.crop(box)
        if rng.random() < 0.5:
            weak = weak.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            label = label.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        torch.from_numpy(np.array(label)).long()
        if num_strong == 0:
            continue
        to_tensor(weak)
        for _ in range(num_strong):
            view = grey(jitter(weak))
            if rng.random() < 0.5:
                view = view.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.1, 2.0))))
            to_tensor(view)
    return number


def cases(steps: int) -> list[tuple[str, Experiment, int]]:
    """Return the trainings of the second part: a name, an experiment and its steps."""
    resnet: dict[str, Any] = {"recipe.labeled_batch": 2, "net.encoder.arch": "resnet18"}
    return [
        ("supervised, ResNet-18 at 321", pictures_experiment(VOC, VOC.crops[0], resnet), steps),
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

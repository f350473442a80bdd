"""Batches: the n-th one is a function of the experiment's seed and n, for any number of loader processes and ranks.

Endless streams of images are cut into batches. Loader processes read, crop and draw; `on_device` does the rest.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from assay.data import notes
from assay.data.batch import Batch, BoxMaps, Labeled, Unlabeled
from assay.data.boxes import draw_boxes, paint
from assay.data.class_uniform import Centroids, ClassUniformStream
from assay.data.draws import generator
from assay.data.geometry import apply_geometry, apply_to_mask, draw_geometry
from assay.data.normalize import Normalization, normalize
from assay.data.reading import read
from assay.data.source import Source
from assay.data.splits import SplitResult
from assay.data.stored_masks import StoredMasks
from assay.data.streams import Stream
from assay.data.strong_views import AnyStrongDraw, apply_strong_view, draw_strong_view
from assay.data.views import Augment, Boxes, Views
from assay.data.weak_views import AnyWeakDraw, apply_weak_view, draw_weak_view
from assay.errors import AssayError, UserError
from assay.places import Places
from assay.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crops:
    """One stream's part of a batch, as a loader process makes it."""

    images: torch.Tensor  # B x 3 x H x W, uint8
    labels: torch.Tensor  # B x H x W, uint8
    valid: torch.Tensor  # B x H x W, bool
    distort: tuple[AnyWeakDraw, ...]  # by image; empty where colours are not distorted
    strong: tuple[tuple[AnyStrongDraw, ...], ...]  # by strong view, by image
    ids: tuple[str, ...]
    stored: Mapping[str, torch.Tensor]  # B x H x W, uint8, by name

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each image without its padding, which lies at the right and at the bottom."""
        return list(zip(self.valid[:, :, 0].sum(1).tolist(), self.valid[:, 0].sum(1).tolist(), strict=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawBatch:
    """One (micro-)batch of one rank, as it comes from a loader process."""

    labeled: Crops
    unlabeled: tuple[Crops, ...]
    boxes: torch.Tensor | None  # B x N x 4
    normalization: Normalization  # for which padding has its colour


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Everything a loader process needs to make any batch."""

    source: Source
    places: Places
    labeled: Stream
    unlabeled: tuple[Stream, ...]
    views: Views
    recipe: Recipe
    seed: int
    rank: int
    world_size: int
    normalization: Normalization  # the encoder's
    stored: Mapping[str, StoredMasks] = dataclasses.field(default_factory=dict)  # by the name in `views.stored`

    @classmethod
    def make(
        cls,
        source: Source,
        images: SplitResult,
        views: Views,
        recipe: Recipe,
        *,
        places: Places,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        normalization: Normalization,
        centroids: Centroids | None = None,
    ) -> BatchPlan:
        """Return a plan; raise a UserError where batches do not divide over the ranks or images are missing.

        centroids: of the labelled images, sorted by id, for class-uniform sampling; none: all images in turn
        """
        for field in ("labeled_batch", "unlabeled_batch"):
            size, parts = getattr(recipe, field), recipe.accumulate * world_size
            if size % parts:
                raise UserError(
                    f"recipe.{field} must divide over {world_size} ranks x {recipe.accumulate} micro-batches, got"
                    f" {size}; choose a multiple of {parts}, or other ranks."
                )
        if views.unlabeled and not images.unlabeled:
            raise UserError(
                "this method needs unlabelled images and the split has none; choose data.split.unlabeled, for"
                " example the training pool's name."
            )
        return cls(
            source=source,
            places=places,
            labeled=_labeled_stream(tuple(sorted(images.labeled)), seed, centroids),
            unlabeled=tuple(
                Stream(name=f"unlabeled{index}", ids=tuple(sorted(images.unlabeled)), seed=seed)
                for index in range(views.unlabeled)
            ),
            views=views,
            recipe=recipe,
            seed=seed,
            rank=rank,
            world_size=world_size,
            normalization=normalization,
        )

    def notes(self) -> tuple[str, ...]:
        """Return remarks that belong beside every number trained with these batches."""
        return self.labeled.centroids.notes() if isinstance(self.labeled, ClassUniformStream) else ()

    def images_with_stored(self) -> tuple[str, ...]:
        """Return the images whose stored masks the method reads."""
        streams = (*self.unlabeled, *((self.labeled,) if self.views.labeled_stored else ()))
        return tuple(sorted({image_id for stream in streams for image_id in stream.ids})) if self.views.stored else ()

    @property
    def lacks_stored(self) -> bool:
        """True while stored masks are missing, which `with_stored` adds; there can be no batches before."""
        return set(self.stored) != set(self.views.stored)

    def with_stored(self, stored: Mapping[str, StoredMasks]) -> BatchPlan:
        """Return this plan with the masks that `views.stored` names; raise an error where an image has none."""
        for masks in stored.values():
            masks.require(self.images_with_stored())
        return dataclasses.replace(self, stored=stored)

    def micro_batch(self, step: int, part: int) -> RawBatch:
        """Return this rank's share of the part-th micro-batch of a step."""
        labeled = self._positions(step, part, self.recipe.labeled_batch)
        unlabeled = self._positions(step, part, self.recipe.unlabeled_batch)
        return RawBatch(
            labeled=self._crops(self.labeled, labeled, num_strong=int(self.views.labeled_strong)),
            unlabeled=tuple(self._crops(stream, unlabeled, num_strong=self.views.strong) for stream in self.unlabeled),
            boxes=self._boxes(self.views.boxes, unlabeled) if self.views.boxes and self.unlabeled else None,
            normalization=self.normalization,
        )

    def images_of(self, step: int) -> tuple[str, ...]:
        """Return the images of a step over all ranks, labelled ones first, for messages."""
        labeled, unlabeled = self.recipe.labeled_batch, self.recipe.unlabeled_batch
        return (
            *(self.labeled.image_id(at) for at in range(step * labeled, (step + 1) * labeled)),
            *(
                stream.image_id(at)
                for stream in self.unlabeled
                for at in range(step * unlabeled, (step + 1) * unlabeled)
            ),
        )

    def _positions(self, step: int, part: int, batch: int) -> range:
        share = batch // (self.recipe.accumulate * self.world_size)
        start = step * batch + part * share * self.world_size + self.rank * share
        return range(start, start + share)

    def _crops(self, stream: Stream, positions: range, *, num_strong: int) -> Crops:
        ids = tuple(stream.image_id(position) for position in positions)
        augment = self.recipe.augment
        names = self.views.stored if stream is not self.labeled or self.views.labeled_stored else ()
        crops = [self._crop(stream, image_id, at, augment, names) for image_id, at in zip(ids, positions, strict=True)]
        images, labels, valid, *stored = (torch.stack(parts) for parts in zip(*crops, strict=True))
        strong = tuple(
            tuple(
                draw_strong_view(generator(self.seed, "strong", stream.name, view, at), augment.strong)
                for at in positions
            )
            for view in range(num_strong)
        )
        colours = augment.distort
        distort = (
            tuple(draw_weak_view(generator(self.seed, "distort", stream.name, at), colours) for at in positions)
            if colours
            else ()
        )
        masks = dict(zip(names, stored, strict=True))
        return Crops(images=images, labels=labels, valid=valid, distort=distort, strong=strong, ids=ids, stored=masks)

    def _crop(
        self, stream: Stream, image_id: str, position: int, augment: Augment, names: tuple[str, ...]
    ) -> tuple[torch.Tensor, ...]:
        """Return image, labels, valid pixels (those outside padding), and the stored masks of these names."""
        image, mask = read(self.source, image_id, self.places)
        rng = generator(self.seed, "crop", stream.name, position)
        geometry = draw_geometry(rng, mask.shape[0], mask.shape[1], augment, stream.point(position))
        stored = [self.stored[name].read(image_id, mask.shape) for name in names]
        return (
            *apply_geometry(image, mask, geometry, augment.crop, self.normalization.padding),
            *(apply_to_mask(stored_mask, geometry, augment.crop) for stored_mask in stored),
        )

    def _boxes(self, boxes: Boxes, positions: range) -> torch.Tensor:
        height, width = self.recipe.augment.crop
        return torch.from_numpy(
            np.stack([draw_boxes(generator(self.seed, "boxes", at), height, width, boxes) for at in positions])
        )


def _labeled_stream(ids: tuple[str, ...], seed: int, centroids: Centroids | None) -> Stream:
    if centroids is None:
        return Stream(name="labeled", ids=ids, seed=seed)
    return ClassUniformStream(name="labeled", ids=ids, seed=seed, centroids=centroids)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Step:
    """The contents of a step, as a loader process sends them."""

    content: list[RawBatch] | AssayError  # the micro-batches, or the error that prevents them
    notes: tuple[str, ...]


class _Steps(Dataset[_Step]):
    """The steps of a plan."""

    def __init__(self, plan: BatchPlan) -> None:
        self.plan = plan

    def __getitem__(self, step: int) -> _Step:
        return _Step(content=self._content(step), notes=notes.take_waiting())

    def _content(self, step: int) -> list[RawBatch] | AssayError:
        try:
            return [self.plan.micro_batch(step, part) for part in range(self.plan.recipe.accumulate)]
        except AssayError as error:
            return error  # an error raised in a loader process would arrive wrapped in that process's traceback


def _ignore_interrupts(worker: int) -> None:
    """Ignore Ctrl-C, which reaches all processes of a terminal: to stop in order, the trainer still needs batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _start(loader: DataLoader[_Step]) -> Iterator[_Step]:
    """Start the loader's processes with Ctrl-C blocked: they import for seconds before `_ignore_interrupts` runs."""
    if not loader.num_workers:
        return iter(loader)
    multiprocessing.set_forkserver_preload(["torchvision.transforms.v2"])  # imported once instead of by every process
    resource_tracker.ensure_running()  # otherwise the loader starts it, and starting it lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by the started processes
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def batches(plan: BatchPlan, steps: Sequence[int], *, workers: int = 0) -> Iterator[list[RawBatch]]:
    """Yield the micro-batches of each of `steps`, in order."""
    loader = DataLoader(
        _Steps(plan),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_ignore_interrupts,
    )
    for loaded in _start(loader):
        for note in loaded.notes:
            notes.show(note)
        if isinstance(loaded.content, AssayError):
            raise loaded.content
        yield loaded.content


def on_device(
    raw: RawBatch,
    views: Views,
    augment: Augment,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
) -> Batch:
    """Return the method's batch: distort, apply strong operators, paint boxes and normalise on the training device."""

    def finish(images: torch.Tensor) -> torch.Tensor:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return normalize(images, raw.normalization, dtype).contiguous(memory_format=layout)

    labeled = raw.labeled
    images, valid = labeled.images.to(device, non_blocking=True), labeled.valid.to(device, non_blocking=True)
    strong, index_map = apply_strong_view(images, labeled.strong[0], labeled.sizes) if labeled.strong else (None, None)
    return Batch(
        labeled=Labeled(
            weak=finish(_distort(images, valid, labeled)),
            label=labeled.labels.to(device, non_blocking=True).long(),
            valid=valid,
            strong=None if strong is None else finish(strong),
            index_map=index_map,
            stored=_stored(labeled, device=device),
        ),
        unlabeled=tuple(_unlabeled(crops, finish, device=device) for crops in raw.unlabeled),
        boxes=None if raw.boxes is None else _paint(raw.boxes, views, augment, device=device),
    )


def _unlabeled(crops: Crops, finish: Callable[[torch.Tensor], torch.Tensor], *, device: torch.device) -> Unlabeled:
    images, valid = crops.images.to(device, non_blocking=True), crops.valid.to(device, non_blocking=True)
    views = [apply_strong_view(images, draws, crops.sizes) for draws in crops.strong]
    return Unlabeled(
        weak=finish(_distort(images, valid, crops)),
        strong=tuple(finish(strong) for strong, _ in views),
        index_maps=tuple(index_map for _, index_map in views),
        valid=valid,
        truth=crops.labels.to(device, non_blocking=True).long(),
        stored=_stored(crops, device=device),
    )


def _distort(images: torch.Tensor, valid: torch.Tensor, crops: Crops) -> torch.Tensor:
    """Return the weak views; padding keeps its colour, since only an image has colours to distort."""
    if not crops.distort:
        return images
    return torch.where(valid.unsqueeze(1), apply_weak_view(images, crops.distort), images)


def _stored(crops: Crops, *, device: torch.device) -> dict[str, torch.Tensor]:
    return {name: masks.to(device, non_blocking=True).long() for name, masks in crops.stored.items()}


def _paint(boxes: torch.Tensor, views: Views, augment: Augment, *, device: torch.device) -> BoxMaps:
    """Paint boxes on the host, where they were drawn: reading their edges back from a GPU would wait for it."""
    assert views.boxes is not None
    mask, owner = paint(boxes, *augment.crop, views.boxes.rule)
    return BoxMaps(mask=mask.to(device, non_blocking=True), owner=owner.to(device, non_blocking=True))

"""The masks that an experiment wants of an earlier one: predicted when somebody first asks, then read by all.

They change no number of the experiment that predicts them, which may have been trained as somebody's plain baseline.
So they are made of its stored weights, by its own evaluation protocol, on whole images at their own size, and lie
under its key: one file for each list of images.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from assay.collectives import broadcast_from_rank0, rank
from assay.data.normalize import normalize
from assay.data.source import Source
from assay.data.stored_masks import MasksDamaged, StoredMasks, encode, pack, unpack
from assay.errors import UserError
from assay.experiment import Runtime
from assay.identity import canonical
from assay.method import Method
from assay.places import Places
from assay.resolve import Resolved
from assay.store.store import Store
from assay.training.evaluate import image_batches, predict
from assay.training.loading import BatchPlan
from assay.training.model import DTYPES, ReadWeights, autocast, input_of, trained_networks
from assay.values import suggestion, to_json

_TELL_EVERY = 5.0  # seconds that other ranks wait in one collective while the first rank predicts
_FORMAT = 1  # of the file


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskRequest:
    """Masks of some images by one product of a trained experiment."""

    inner: Resolved  # the experiment that predicts
    product: str  # one of its method's `products`
    source: Source
    ids: tuple[str, ...]
    places: Places

    @property
    def key(self) -> str:
        """Under which key the file lies."""
        return self.inner.key

    @functools.cached_property
    def file(self) -> str:
        """The file's name there."""
        about = {
            "format": _FORMAT,
            "ids": self.ids,
            "source": to_json(self.source),
            "fingerprint": self.source.fingerprint(self.places),
            "evaluation": to_json(self.inner.experiment.recipe.evaluation),
        }
        return f"masks-{self.product}-{hashlib.sha256(canonical(about).encode()).hexdigest()[:16]}.zip"


def wanted_masks(resolved: Resolved, plan: BatchPlan) -> dict[str, MaskRequest]:
    """What an experiment means by the names in its method's `Views.stored`."""
    found: dict[str, MaskRequest] = {}
    for name in plan.views.stored:
        field, _, product = name.partition(":")
        found[name] = MaskRequest(
            inner=input_of(resolved, field),
            product=product or "masks",
            source=plan.source,
            ids=plan.images_with_stored(),
            places=plan.places,
        )
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskPredictor:
    """Where masks come from: the store, or networks that predict them here. All ranks do the same with it.

    The first rank alone predicts and writes. Without a store masks are predicted and not kept.
    """

    runtime: Runtime
    device: torch.device
    read_weights: ReadWeights
    store: Store | None = None
    print_line: Callable[[str], None] = lambda text: None
    stop: Callable[[], bool] = lambda: False

    def masks(self, wanted: MaskRequest) -> StoredMasks | None:
        """The masks, or None if this was stopped before they were there."""
        place = f"{self.store.place(wanted.key)}/{wanted.file}" if self.store else f"the masks of {wanted.key}"
        data: bytes | None = broadcast_from_rank0(lambda: self._kept(wanted, place))
        if data is None:
            data = self._made(wanted, place)
        return None if data is None else unpack(data, place)

    def _kept(self, wanted: MaskRequest, place: str) -> bytes | None:
        """The file as it lies in the store, or None where it is to be made."""
        data = self.store.read(wanted.key, wanted.file) if self.store else None
        if not data:
            return None  # an empty file is a name that was taken by a process that was killed before it wrote
        try:
            unpack(data, place)
        except MasksDamaged as damage:
            self.print_line(f"note: {damage}; the masks are predicted anew")
            return None
        return data

    def _made(self, wanted: MaskRequest, place: str) -> bytes | None:
        """The file, predicted on the first rank and then the same on all; None if it was stopped."""
        files: list[bytes] = []

        def pieces() -> Iterator[None]:
            self.print_line(f"note: predicting the masks of {len(wanted.ids)} images with experiment {wanted.key}")
            images: dict[str, bytes] = {}
            for image_id, mask in self._predicted(wanted):
                images[image_id] = encode(mask)
                yield
            files.append(self._written(pack(images), wanted, place))

        if not _on_first_rank(pieces, self.stop):
            return None
        return broadcast_from_rank0(lambda: files[0])

    def _written(self, made: bytes, wanted: MaskRequest, place: str) -> bytes:
        """What everybody reads from now on: the first whole file, be it this process's or another's."""
        if self.store is None or self.store.create(wanted.key, wanted.file, made):
            return made
        there = self._kept(wanted, place)
        if there is None:
            self.store.write(wanted.key, wanted.file, made)
        return there or made

    def _predicted(self, wanted: MaskRequest) -> Iterator[tuple[str, np.ndarray]]:
        """Every image's id and mask (H x W, uint8)."""
        recipe, method = wanted.inner.experiment.recipe, wanted.inner.experiment.method
        dtype = DTYPES[recipe.precision]
        assert isinstance(method, Method)
        nets = trained_networks(wanted.inner, wanted.places, self.read_weights).to(self.device, dtype)
        products = method.mask_predictors(nets.eval())
        if wanted.product not in products:
            raise UserError(f"{method.name} makes no product {wanted.product!r}{suggestion(wanted.product, products)}.")
        ids = iter(wanted.ids)
        for pixels, _ in image_batches(wanted.source, wanted.ids, self.runtime.evaluation_batch, wanted.places):
            with torch.no_grad(), autocast(recipe.precision, self.device):
                normal = normalize(pixels.to(self.device), dtype=dtype)
                masks = predict(products[wanted.product], normal, recipe.evaluation)
            for mask in masks.to("cpu", torch.uint8).numpy():
                yield next(ids), mask


def _on_first_rank(work: Callable[[], Iterator[None]], stop: Callable[[], bool]) -> bool:
    """Do on rank 0 what comes in pieces; False if it was stopped in between.

    The other ranks hear every few seconds how it stands: a collective that lasts for minutes would time out, and
    an error that they never heard of would leave them waiting.
    """
    pieces = work() if rank() == 0 else iter(())
    while True:
        told: Any = broadcast_from_rank0(lambda: _some(pieces, stop))
        if isinstance(told, Exception):
            raise told
        if told is not None:
            return bool(told)


def _some(pieces: Iterator[None], stop: Callable[[], bool]) -> bool | Exception | None:
    """Work for a few seconds: True at the end, False if stopped, None if there is more, or what went wrong."""
    end = time.monotonic() + _TELL_EVERY
    try:
        for _ in pieces:
            if stop():
                return False
            if time.monotonic() > end:
                return None
    except Exception as error:
        return error
    return True

"""Masks that a trained experiment predicts for a later one: predicted at the first request, then read from the store.

They change no number of the experiment that predicts them, which may have been trained as the plain baseline of
another study. So they are made from its stored weights, by its own evaluation protocol, on whole images at their own
size, and lie under its key: one file for each list of images.
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
from assay.data.contents import hash_sizes
from assay.data.normalize import normalize
from assay.data.source import Source
from assay.data.stored_masks import MasksDamaged, StoredMasks, encode, pack, unpack
from assay.errors import UserError
from assay.experiment import Runtime
from assay.identity import canonical
from assay.method import Method
from assay.nets.encoders import normalization_of
from assay.places import Places
from assay.resolve import Resolved
from assay.store.store import Store
from assay.training.evaluate import image_batches, predict
from assay.training.loading import BatchPlan
from assay.training.model import DTYPES, ReadWeights, autocast, input_of, trained_networks
from assay.values import suggestion, to_json

_REPORT_EVERY = 5.0  # seconds that other ranks wait in one collective while the first rank predicts
_FORMAT = 1  # of the file


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskRequest:
    """A request for masks of some images by one predictor of a trained experiment."""

    inner: Resolved  # the experiment that predicts
    predictor: str  # the name of one of its method's `mask_predictors`
    source: Source
    ids: tuple[str, ...]
    places: Places

    @property
    def key(self) -> str:
        """The key under which the file lies."""
        return self.inner.key

    @functools.cached_property
    def file(self) -> str:
        """The file's name under that key."""
        identity: dict[str, Any] = {
            "format": _FORMAT,
            "ids": self.ids,
            "source": to_json(self.source),
            "fingerprint": self.source.fingerprint(self.places),
            "evaluation": to_json(self.inner.experiment.recipe.evaluation),
        }
        files = hash_sizes(self.source, self.ids, self.places)
        if files is not None:
            identity["files"] = files
        return f"masks-{self.predictor}-{hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]}.zip"


def mask_requests(resolved: Resolved, plan: BatchPlan) -> dict[str, MaskRequest]:
    """Return the requests behind the names in the method's `Views.stored`."""
    requests: dict[str, MaskRequest] = {}
    for name in plan.views.stored:
        field, _, predictor = name.partition(":")
        requests[name] = MaskRequest(
            inner=input_of(resolved, field),
            predictor=predictor or "masks",
            source=plan.source,
            ids=plan.images_with_stored(),
            places=plan.places,
        )
    return requests


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskPredictor:
    """The source of masks: the store, or networks that predict them here. All ranks call it alike.

    The first rank alone predicts and writes. Without a store, masks are predicted and not kept.
    """

    runtime: Runtime
    device: torch.device
    read_weights: ReadWeights
    store: Store | None = None
    print_line: Callable[[str], None] = lambda text: None
    stop: Callable[[], bool] = lambda: False

    def masks(self, request: MaskRequest) -> StoredMasks | None:
        """Return the masks, or None if stopped before they were complete."""
        place = f"{self.store.place(request.key)}/{request.file}" if self.store else f"the masks of {request.key}"
        data: bytes | None = broadcast_from_rank0(lambda: self._read_stored(request, place))
        if data is None:
            data = self._predict_on_first_rank(request, place)
        return None if data is None else unpack(data, place)

    def _read_stored(self, request: MaskRequest, place: str) -> bytes | None:
        """Return the file in the store; None where there is none or where it is damaged."""
        data = self.store.read(request.key, request.file) if self.store else None
        if not data:
            return None  # an empty file is a name whose process was killed before it wrote the content
        try:
            unpack(data, place)
        except MasksDamaged as damage:
            self.print_line(f"note: {damage}; the masks are predicted anew")
            return None
        return data

    def _predict_on_first_rank(self, request: MaskRequest, place: str) -> bytes | None:
        """Return the file, predicted on the first rank and sent to all; None if stopped."""
        files: list[bytes] = []

        def work() -> Iterator[None]:
            self.print_line(f"note: predicting the masks of {len(request.ids)} images with experiment {request.key}")
            images: dict[str, bytes] = {}
            for image_id, mask in self._predict(request):
                images[image_id] = encode(mask)
                yield
            files.append(self._store_first(pack(images), request, place))

        if not _run_on_first_rank(work, self.stop):
            return None
        return broadcast_from_rank0(lambda: files[0])

    def _store_first(self, predicted: bytes, request: MaskRequest, place: str) -> bytes:
        """Store the file unless another process was faster, and return the file that all processes read from now on."""
        if self.store is None or self.store.create(request.key, request.file, predicted):
            return predicted
        stored = self._read_stored(request, place)
        if stored is None:
            self.store.write(request.key, request.file, predicted)
        return stored or predicted

    def _predict(self, request: MaskRequest) -> Iterator[tuple[str, np.ndarray]]:
        """Yield every image's id and mask (H x W, uint8)."""
        recipe, method = request.inner.experiment.recipe, request.inner.experiment.method
        dtype, normalization = DTYPES[recipe.precision], normalization_of(request.inner.experiment.net.encoder)
        assert isinstance(method, Method)
        nets = trained_networks(request.inner, request.places, self.read_weights).to(self.device, dtype)
        predictors = method.mask_predictors(nets.eval())
        if request.predictor not in predictors:
            raise UserError(
                f"{method.name} has no mask predictor {request.predictor!r}{suggestion(request.predictor, predictors)}."
            )
        ids = iter(request.ids)
        for images, _ in image_batches(request.source, request.ids, self.runtime.evaluation_batch, request.places):
            with torch.no_grad(), autocast(recipe.precision, self.device):
                pixels = normalize(images.to(self.device), normalization, dtype)
                masks = predict(predictors[request.predictor], pixels, recipe.evaluation)
            for mask in masks.to("cpu", torch.uint8).numpy():
                yield next(ids), mask


def _run_on_first_rank(work: Callable[[], Iterator[None]], stop: Callable[[], bool]) -> bool:
    """Run work that comes in pieces on rank 0, and return True at its end; return False if it was stopped in between.

    Every few seconds rank 0 sends its progress to the other ranks: a collective that lasts for minutes would time
    out, and an error that rank 0 kept to itself would leave the others waiting.
    """
    pieces = work() if rank() == 0 else iter(())
    while True:
        progress: Any = broadcast_from_rank0(lambda: _run_for_seconds(pieces, stop))
        if isinstance(progress, Exception):
            raise progress
        if progress is not None:
            return bool(progress)


def _run_for_seconds(pieces: Iterator[None], stop: Callable[[], bool]) -> bool | Exception | None:
    """Work for a few seconds. Return True at the end, False if stopped, None if work is left, or the error."""
    end = time.monotonic() + _REPORT_EVERY
    try:
        for _ in pieces:
            if stop():
                return False
            if time.monotonic() > end:
                return None
    except Exception as error:
        return error
    return True

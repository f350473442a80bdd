"""The training loop. It sums and logs losses by their names, and knows no method by name.

Read `Training.run` first: each step takes the next batch, does `_train_step`, and writes what is due at that step
(`_write_due`). Everything random is a function of the seed and the step, so a training that continues from a
checkpoint computes the same bits as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

import torch
from torch.nn.parallel import DistributedDataParallel

from assay import presets
from assay.collectives import rank, world_size
from assay.data.draws import torch_seed
from assay.data.label_check import require_labels
from assay.data.stored_masks import StoredMasks
from assay.experiment import Runtime
from assay.method import Losses, Method, Predictors, Step
from assay.nets.encoders import normalization_of
from assay.places import Places
from assay.resolve import Resolved
from assay.store.store import Store
from assay.training.centroids import centroids_for
from assay.training.environment import pick_device
from assay.training.evaluate import Score, evaluate
from assay.training.loading import BatchPlan, RawBatch, batches, on_device
from assay.training.metrics import RunningMetrics
from assay.training.model import (
    DTYPES,
    LossModule,
    ReadWeights,
    autocast,
    build_networks,
    load_own_state,
    no_stored_weights,
    own_state,
    prepare_for_training,
)
from assay.training.optimizer import make_optimizer, set_rate
from assay.training.step_metrics import PendingStepMetrics, measure
from assay.training.stored_predictions import MaskPredictor, mask_requests


class Recorder(Protocol):
    """The receiver of a training's lines and checkpoints."""

    def write_line(self, line: Mapping[str, Any]) -> None:
        """Write one line of metrics."""

    def save_checkpoint(self, payload: Callable[[], bytes], step: int) -> None:
        """Save the state after `step` steps; call `payload` only where the state is kept."""

    def report_step(self, step: int, loss: float) -> None:
        """Report that `step` steps are over."""


class Training:
    """One experiment on this rank: its networks, its optimiser, and the steps that remain."""

    def __init__(
        self,
        resolved: Resolved,
        *,
        places: Places,
        runtime: Runtime,
        read_weights: ReadWeights = no_stored_weights,
    ) -> None:
        experiment = resolved.experiment
        assert isinstance(experiment.method, Method)
        reset_torch(runtime)
        self.resolved, self.places, self.runtime, self._read_weights = resolved, places, runtime, read_weights
        self.method, self.recipe, self.seed = experiment.method, experiment.recipe, experiment.seed
        self.device = pick_device(runtime.device)
        self.dtype = DTYPES[self.recipe.precision]
        self.plan = BatchPlan.make(
            experiment.data.source,
            resolved.images,
            self.method.views(),
            self.recipe,
            places=places,
            seed=self.seed,
            rank=rank(),
            world_size=world_size(),
            normalization=normalization_of(experiment.net.encoder),
            centroids=centroids_for(resolved, places, runtime),
        )
        require_labels(experiment.data.source, resolved.images, places)
        # First of all that reads an experiment in a field of the method: here a method refuses a field without one.
        self.nets = build_networks(resolved, places, read_weights).to(self.device, self.dtype)
        for request in mask_requests(resolved, self.plan).values():
            read_weights(request.key)  # raises now, rather than after hours, where that experiment is not trained yet
        if runtime.channels_last:
            self.nets = self.nets.to(memory_format=torch.channels_last)
        self.module = prepare_for_training(LossModule(self.method, self.nets), runtime)
        self.optimizer = make_optimizer(self.nets, self.recipe.optimizer, device=self.device)
        self.metrics = RunningMetrics()
        self.step = 0  # optimiser steps made
        self._end = self.recipe.steps  # the step at which this session ends at the latest
        self._pending: PendingStepMetrics | None = None  # the last step's metrics, still on the device
        self._stopping = False

    def notes(self) -> tuple[str, ...]:
        """Return remarks that belong beside the experiment's numbers, and do not depend on the machine."""
        experiment = presets.notes(self.resolved.experiment)
        return (*self.resolved.images.notes, *self.recipe.notes(), *experiment, *self.plan.notes())

    # --- stored masks ----------------------------------------------------------------------------------------

    def fetch_masks(
        self,
        store: Store | None = None,
        *,
        print_line: Callable[[str], None] = lambda text: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Read or predict the masks that the method's views name; return False if stopped before they were complete.

        The constructor does not do this, since thousands of images may have to be predicted. A second call does
        nothing.
        """
        if not self.plan.lacks_stored:
            return True
        predictor = MaskPredictor(
            runtime=self.runtime,
            device=self.device,
            read_weights=self._read_weights,
            store=store,
            print_line=print_line,
            stop=stop,
        )
        stored: dict[str, StoredMasks] = {}
        for name, request in mask_requests(self.resolved, self.plan).items():
            masks = predictor.masks(request)
            if masks is None:
                return False
            stored[name] = masks
        self.plan = self.plan.with_stored(stored)
        return True

    # --- steps -----------------------------------------------------------------------------------------------

    def run(self, recorder: Recorder, *, stop: Callable[[], bool] = lambda: False, until: int | None = None) -> bool:
        """Train to the end, to step `until`, or until all ranks agree to stop; return True at the end.

        Each of the three leaves a checkpoint.
        """
        self._end = min(self.recipe.steps, until or self.recipe.steps)
        if not self.fetch_masks(stop=stop):
            return False  # there is nothing to keep: not even the first batch could be made
        with contextlib.closing(self._batches()) as step_batches:
            for micro_batches in step_batches:
                self._train_step(micro_batches, recorder, wants_stop=stop())
                self._write_due(recorder)
                if self._stopping:
                    break
        return self.step == self.recipe.steps

    def _batches(self) -> Generator[list[RawBatch]]:
        # A generator of its own, since closing it ends the loader's processes at once.
        yield from batches(self.plan, range(self.step, self._end), workers=self.runtime.loader_workers)

    def _train_step(self, micro_batches: list[RawBatch], recorder: Recorder, *, wants_stop: bool) -> None:
        step = Step(index=self.step, total=self.recipe.steps, ohem=self.recipe.ohem)
        torch.manual_seed(torch_seed(self.seed, "step", self.step, rank()))
        set_rate(self.optimizer, self.recipe.schedule, self.step, self.recipe.steps)
        self.nets.train()
        self.method.before_step(self.nets, step)
        seeds = [torch_seed(self.seed, "draws", self.step, part) for part in range(len(micro_batches))]
        losses = [
            self._backward(raw, dataclasses.replace(step, seed=seed), is_last=raw is micro_batches[-1])
            for raw, seed in zip(micro_batches, seeds, strict=True)
        ]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.method.after_step(self.nets, step)
        self.step += 1
        # The step before is read only now, while the device works on this one: reading it earlier would wait.
        self._read_pending(recorder)
        images = functools.partial(self.plan.images_of, step.index)
        self._pending = measure(losses, step=self.step, images=images, wants_stop=wants_stop)

    def _backward(self, raw: RawBatch, step: Step, *, is_last: bool) -> Losses:
        """Add a micro-batch's gradients to those of the step."""
        batch = on_device(
            raw,
            self.plan.views,
            self.recipe.augment,
            device=self.device,
            dtype=self.dtype,
            channels_last=self.runtime.channels_last,
        )
        with contextlib.nullcontext() if is_last else _without_gradient_sync(self.module):
            with autocast(self.recipe.precision, self.device):
                losses: Losses = self.module(batch, step)
            total = torch.stack([term.weight * term.value for term in losses.terms.values()]).sum()
            (total / self.recipe.accumulate).backward()
        return losses

    # --- what is written -------------------------------------------------------------------------------------

    def _read_pending(self, recorder: Recorder) -> None:
        """Read the pending metrics of a step, add them to the running means, and report the step."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        metrics = pending.read()
        self.metrics.add(
            {"loss": metrics.loss} | {f"term/{name}": value for name, value in metrics.terms.items()},
            metrics.shares,
        )
        self._stopping = self._stopping or metrics.wants_stop
        recorder.report_step(pending.step, metrics.loss)

    def _write_due(self, recorder: Recorder) -> None:
        """Write the line, the evaluation and the checkpoint that are due at this step."""
        at_end = self.step == self.recipe.steps
        evaluates = at_end or self.step % self.recipe.evaluation.every == 0
        logs = at_end or self.step % self.runtime.log_every == 0
        saves = self.step == self._end or self.step % self.runtime.checkpoint_every == 0
        if not (evaluates or logs or saves or self._stopping):
            return
        # Reading first raises an error for a loss that is not finite, before anything of this step is written. It may
        # also show that a rank wants to stop.
        self._read_pending(recorder)
        if logs:
            rate = max(group["lr"] for group in self.optimizer.param_groups)
            recorder.write_line(self.metrics.line(self.step, rate, self.images_per_step()))
        if evaluates:
            recorder.write_line(self.metrics.evaluation(self.step, self._scores()))
        if saves or self._stopping:
            recorder.save_checkpoint(self.state, self.step)

    def images_per_step(self) -> int:
        """Return the number of images of one optimiser step, over all ranks."""
        return self.recipe.labeled_batch + len(self.plan.unlabeled) * self.recipe.unlabeled_batch

    def _scores(self) -> dict[str, Score]:
        self.nets.eval()
        experiment = self.resolved.experiment
        with autocast(self.recipe.precision, self.device):
            return evaluate(
                self.predictors(),
                experiment.data.source,
                self.resolved.images.val,
                self.recipe.evaluation,
                normalization=self.plan.normalization,
                batch=self.runtime.evaluation_batch,
                places=self.places,
                device=self.device,
                dtype=self.dtype,
            )

    def predictors(self) -> Predictors:
        """Return the method's predictors that are evaluated; the first is the official one."""
        return self.method.predictors(self.nets)

    # --- state -----------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return everything that a continued training needs. No random state: randomness is a function of the step."""
        buffer = io.BytesIO()
        torch.save(
            {
                "nets": own_state(self.nets),
                "optimizer": self.optimizer.state_dict(),
                "journal": self.metrics.state(),  # the name in stored checkpoints
                "step": self.step,
            },
            buffer,
        )
        return buffer.getvalue()

    def load_state(self, payload: bytes) -> None:
        """Continue from the bytes that `state` returned."""
        state = torch.load(io.BytesIO(payload), map_location=self.device, weights_only=True)
        load_own_state(self.nets, state["nets"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.metrics = RunningMetrics.from_state(state["journal"])
        self.step = state["step"]


def reset_torch(runtime: Runtime) -> None:
    """Give every experiment the same state of torch, whatever ran in this process before."""
    torch.set_num_threads(runtime.threads)
    torch.set_default_dtype(torch.float32)
    torch.backends.cudnn.benchmark = False
    # float32 means float32: TF32 keeps ten bits of the mantissa.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if runtime.compile:
        torch.compiler.reset()


def _without_gradient_sync(module: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """Return a context in which gradients stay on their rank: ranks add them up with the last micro-batch alone."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else contextlib.nullcontext()

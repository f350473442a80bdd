"""The only loop. It sums and logs by name, and knows no method by name."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

import torch
from torch.nn.parallel import DistributedDataParallel

from assay.collectives import rank, world_size
from assay.data.draws import torch_seed
from assay.data.stored_masks import StoredMasks
from assay.experiment import Runtime
from assay.method import Losses, Method, Predictors, Step
from assay.places import Places
from assay.resolve import Resolved
from assay.store.store import Store
from assay.training.environment import pick_device
from assay.training.evaluate import evaluate
from assay.training.loading import BatchPlan, RawBatch, batches, on_device
from assay.training.metrics import RunningMetrics
from assay.training.model import (
    DTYPES,
    LossModule,
    ReadWeights,
    autocast,
    build_networks,
    load_own_state,
    nothing_trained,
    own_state,
    wrapped,
)
from assay.training.optimizer import make_optimizer, set_rate
from assay.training.step_metrics import PendingStepMetrics, measure
from assay.training.stored_predictions import MaskPredictor, wanted_masks


class Recorder(Protocol):
    """Where a training's lines and checkpoints go."""

    def write_line(self, line: Mapping[str, Any]) -> None:
        """One line of metrics."""

    def save_checkpoint(self, payload: Callable[[], bytes], step: int) -> None:
        """The state after `step` steps; `payload` is called only where it is kept."""

    def report_step(self, step: int, loss: float) -> None:
        """A step is over."""


class Training:
    """One experiment on this rank: networks, optimiser, where it is, and the steps that remain."""

    def __init__(
        self,
        resolved: Resolved,
        *,
        places: Places,
        runtime: Runtime,
        read_weights: ReadWeights = nothing_trained,
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
        )
        for wanted in wanted_masks(resolved, self.plan).values():
            read_weights(wanted.key)  # what was not trained yet shows now, and not when masks are asked for
        self.nets = build_networks(resolved, places, read_weights).to(self.device, self.dtype)
        if runtime.channels_last:
            self.nets = self.nets.to(memory_format=torch.channels_last)
        self.module = wrapped(LossModule(self.method, self.nets), runtime)
        self.optimizer = make_optimizer(self.nets, self.recipe.optimizer, device=self.device)
        self.journal = RunningMetrics()
        self.step = 0  # optimiser steps made
        self._end = self.recipe.steps  # the step at which this session ends, at the latest
        self._unread: PendingStepMetrics | None = None
        self._stopping = False

    # --- stored masks ----------------------------------------------------------------------------------------

    def fetch_masks(
        self,
        store: Store | None = None,
        *,
        print_line: Callable[[str], None] = lambda text: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Read the masks that the method's views name, or predict them; False if stopped before they were there.

        Apart from building, since thousands of images may have to be predicted. Nothing is done a second time.
        """
        if not self.plan.lacks_stored:
            return True
        maker = MaskPredictor(
            runtime=self.runtime,
            device=self.device,
            read_weights=self._read_weights,
            store=store,
            print_line=print_line,
            stop=stop,
        )
        found: dict[str, StoredMasks] = {}
        for name, wanted in wanted_masks(self.resolved, self.plan).items():
            masks = maker.masks(wanted)
            if masks is None:
                return False
            found[name] = masks
        self.plan = self.plan.with_stored(found)
        return True

    # --- steps -----------------------------------------------------------------------------------------------

    def run(self, recorder: Recorder, *, stop: Callable[[], bool] = lambda: False, until: int | None = None) -> bool:
        """Train to the end, to step `until`, or until all ranks have agreed to stop; True at the end.

        Each of them leaves a checkpoint.
        """
        self._end = min(self.recipe.steps, until or self.recipe.steps)
        if not self.fetch_masks(stop=stop):
            return False  # nothing to keep: not even the first batch could be made
        with contextlib.closing(self._stream()) as stream:
            for raw in stream:
                self._one_step(raw, recorder, wants_stop=stop())
                self._write_what_is_due(recorder)
                if self._stopping:
                    break
        return self.step == self.recipe.steps

    def _stream(self) -> Generator[list[RawBatch]]:
        # A generator of our own, so that closing it ends the loader's processes at once.
        yield from batches(self.plan, range(self.step, self._end), workers=self.runtime.loader_workers)

    def _one_step(self, raw: list[RawBatch], recorder: Recorder, *, wants_stop: bool) -> None:
        step = Step(index=self.step, total=self.recipe.steps, ohem=self.recipe.ohem)
        torch.manual_seed(torch_seed(self.seed, "step", self.step, rank()))
        set_rate(self.optimizer, self.recipe.schedule, self.step, self.recipe.steps)
        self.nets.train()
        self.method.before_step(self.nets, step)
        found = [self._backward(part, step, last=part is raw[-1]) for part in raw]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.method.after_step(self.nets, step)
        self.step += 1
        self._read(recorder)
        images = functools.partial(self.plan.images_of, step.index)
        self._unread = measure(found, step=self.step, images=images, wants_stop=wants_stop)

    def _backward(self, raw: RawBatch, step: Step, *, last: bool) -> Losses:
        batch = on_device(
            raw,
            self.plan.views,
            self.recipe.augment,
            device=self.device,
            dtype=self.dtype,
            channels_last=self.runtime.channels_last,
        )
        with _unsynchronised(self.module) if not last else contextlib.nullcontext():
            with autocast(self.recipe.precision, self.device):
                losses: Losses = self.module(batch, step)
            total = torch.stack([term.weight * term.value for term in losses.terms.values()]).sum()
            (total / self.recipe.accumulate).backward()
        return losses

    # --- what is written -------------------------------------------------------------------------------------

    def _read(self, recorder: Recorder) -> None:
        """Take in the numbers that have not been read yet."""
        if self._unread is None:
            return
        measured, self._unread = self._unread, None
        numbers = measured.read()
        self.journal.add(
            {"loss": numbers.loss} | {f"term/{name}": value for name, value in numbers.terms.items()},
            numbers.shares,
        )
        self._stopping = self._stopping or numbers.wants_stop
        recorder.report_step(measured.step, numbers.loss)

    def _write_what_is_due(self, recorder: Recorder) -> None:
        at_end = self.step == self.recipe.steps
        evaluates = at_end or self.step % self.recipe.evaluation.every == 0
        logs = at_end or self.step % self.runtime.log_every == 0
        saves = self.step == self._end or self.step % self.runtime.checkpoint_every == 0
        if not (evaluates or logs or saves or self._stopping):
            return
        # Nothing is written before it is known that the step was sound; reading may also bring the wish to stop.
        self._read(recorder)
        if logs:
            rate = max(group["lr"] for group in self.optimizer.param_groups)
            recorder.write_line(self.journal.line(self.step, rate, self.images_per_step()))
        if evaluates:
            recorder.write_line(self.journal.evaluation(self.step, self._scores()))
        if saves or self._stopping:
            recorder.save_checkpoint(self.state, self.step)

    def images_per_step(self) -> int:
        """Images that one optimiser step sees, over all ranks."""
        return self.recipe.labeled_batch + len(self.plan.unlabeled) * self.recipe.unlabeled_batch

    def _scores(self) -> Any:
        self.nets.eval()
        experiment = self.resolved.experiment
        with autocast(self.recipe.precision, self.device):
            return evaluate(
                self.predictors(),
                experiment.data.source,
                self.resolved.images.val,
                self.recipe.evaluation,
                batch=self.runtime.evaluation_batch,
                places=self.places,
                device=self.device,
                dtype=self.dtype,
            )

    def predictors(self) -> Predictors:
        """What the method says is to be evaluated."""
        return self.method.predictors(self.nets)

    # --- state -----------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Everything that a continued training needs; nothing random, since randomness is a function of the step."""
        buffer = io.BytesIO()
        torch.save(
            {
                "nets": own_state(self.nets),
                "optimizer": self.optimizer.state_dict(),
                "journal": self.journal.state(),
                "step": self.step,
            },
            buffer,
        )
        return buffer.getvalue()

    def load_state(self, payload: bytes) -> None:
        """Continue from what `state` returned."""
        state = torch.load(io.BytesIO(payload), map_location=self.device, weights_only=True)
        load_own_state(self.nets, state["nets"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.journal = RunningMetrics.from_state(state["journal"])
        self.step = state["step"]


def reset_torch(runtime: Runtime) -> None:
    """The same state of torch for every experiment, whatever ran in this process before."""
    torch.set_num_threads(runtime.threads)
    torch.set_default_dtype(torch.float32)
    torch.backends.cudnn.benchmark = False
    # float32 means float32: TF32 keeps ten bits of the mantissa.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if runtime.compile:
        torch.compiler.reset()


def _unsynchronised(module: torch.nn.Module) -> contextlib.AbstractContextManager[None]:
    """Gradients of all micro-batches but the last stay on their rank."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else contextlib.nullcontext()

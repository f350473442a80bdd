"""Micro-batches: work that is done once a step, and the note on their statistics."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET, small

from assay.commands.show import summary
from assay.places import Places
from assay.resolve import resolve
from assay.store.local import LocalStore
from assay.training.loop import Training
from assay.training.session import SessionOptions, train


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_session_and_its_result_note_that_statistics_and_means_are_per_micro_batch(
    accumulate: int, tmp_path: Path
) -> None:
    lines: list[str] = []
    resolved = resolve(small(recipe__steps=2, recipe__accumulate=accumulate), Places())
    options = SessionOptions(print_line=lines.append)
    result = train(resolved, LocalStore(tmp_path), places=Places(), runtime=QUIET, options=options)
    note = (
        "accumulate=2: batch norm's statistics and means over pixels are those of a micro-batch, not of a step's whole"
        " batch"
    )
    assert result["notes"] == [note] * (accumulate == 2)
    assert lines[:1] == [f"note: {note}"] * (accumulate == 2)
    assert (f"note: {note}" in summary(resolved.document(), result)) == (accumulate == 2)


class NetworkRecorder:
    """A recorder that keeps the networks after every step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def write_line(self, line): ...

    def save_checkpoint(self, payload: Callable[[], bytes], step: int) -> None:
        state: dict[str, Any] = torch.load(io.BytesIO(payload()), weights_only=True)
        self.steps.append(state["nets"])

    def report_step(self, step, loss): ...


def test_a_mean_teacher_moves_once_a_step_and_not_once_a_micro_batch() -> None:
    resolved = resolve(
        small("mean_teacher", recipe__steps=3, recipe__accumulate=2, recipe__precision="float64", method__momentum=0.6),
        Places(),
    )
    training = Training(resolved, places=Places(), runtime=dataclasses.replace(QUIET, checkpoint_every=1))
    names = [name for name, _ in training.nets["teacher"].named_parameters()]
    expected = {name: value.clone() for name, value in training.nets["teacher"].named_parameters()}
    recorder = NetworkRecorder()
    training.run(recorder)
    assert len(recorder.steps) == 3
    for after in recorder.steps:
        for name in names:
            expected[name] = 0.6 * expected[name] + 0.4 * after[f"student.{name}"]
            torch.testing.assert_close(after[f"teacher.{name}"], expected[name], rtol=1e-12, atol=1e-12)
            assert not after[f"student.{name}"].equal(expected[name]), "the student moved"

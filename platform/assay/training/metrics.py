"""The metrics of a running training: means between two lines, evaluations, and the best evaluation so far.

Their state is part of every checkpoint, so that a continued training writes the same lines as an uninterrupted one.
Names: ``loss``, ``term/...``, ``share/...``, ``val/<network>/...``, ``lr``; ``time/...`` is the only part that
differs between two runs of one experiment.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from assay.training.evaluate import Score


@dataclasses.dataclass
class RunningMetrics:
    """Sums since the last line, and the best evaluation. The field names are those in stored checkpoints."""

    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    counts: dict[str, float] = dataclasses.field(default_factory=dict)
    best_miou: float = -1.0
    best_step: int = 0
    last: dict[str, Any] = dataclasses.field(default_factory=dict)  # the last evaluation
    seconds: float = 0.0  # of training, over all sessions
    _since: float = dataclasses.field(default_factory=time.monotonic)
    _steps: int = 0

    def add(self, means: Mapping[str, float], shares: Mapping[str, tuple[float, float]]) -> None:
        """Add one step's means, and the part and whole of each of its shares."""
        self._steps += 1
        for name, value in means.items():
            self._count(name, value, 1.0)
        for name, (part, whole) in shares.items():
            self._count(f"share/{name}", part, whole)

    def _count(self, name: str, part: float, whole: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + part
        self.counts[name] = self.counts.get(name, 0.0) + whole

    def line(self, step: int, rate: float, images: int) -> dict[str, Any]:
        """Return the means since the last line, and begin new ones; leave out a share whose whole is zero."""
        now = time.monotonic()
        elapsed, self._since = now - self._since, now
        self.seconds += elapsed
        means = {name: total / self.counts[name] for name, total in self.sums.items() if self.counts[name]}
        speed = self._steps * images / elapsed if elapsed else 0.0
        self.sums, self.counts, self._steps = {}, {}, 0
        return {
            "step": step,
            **means,
            "lr": rate,
            "time/seconds": round(self.seconds, 3),
            "time/images_per_second": round(speed, 2),
        }

    def evaluation(self, step: int, scores: Mapping[str, Score]) -> dict[str, Any]:
        """Return the line of an evaluation, and keep the best one; the first network is the official one."""
        official = next(iter(scores.values()))
        if official.miou > self.best_miou:
            self.best_miou, self.best_step = official.miou, step
        self.last = {name: dataclasses.asdict(score) for name, score in scores.items()}
        values = {
            f"val/{name}/{measure}": getattr(score, measure)
            for name, score in scores.items()
            for measure in ("miou", "pixel_accuracy", "iou")
        }
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now
        return {"step": step, **values, "time/seconds": round(self.seconds, 3)}

    def state(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        now = time.monotonic()
        return {
            "sums": dict(self.sums),
            "counts": dict(self.counts),
            "best_miou": self.best_miou,
            "best_step": self.best_step,
            "last": self.last,
            "seconds": self.seconds + now - self._since,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RunningMetrics:
        """Return the metrics that a checkpoint holds."""
        return cls(**state)

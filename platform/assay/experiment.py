"""The central idea: an experiment is a value.

An `Experiment` holds everything that decides a number. A method that needs a trained network has a field whose value
is another `Experiment`, and so has an experiment that starts from one. These fields form the graph of what must be
trained first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from assay import NUMERICS
from assay.catalogue import methods_by_name
from assay.data.class_uniform import ClassUniform
from assay.data.sources import AnySource, Textures
from assay.data.splits import Split
from assay.errors import FieldError, UserError
from assay.nets.spec import Net
from assay.recipe import Recipe
from assay.values import Value, declare_family, from_json, param, to_json


class MethodValue(Value):
    """The part of a method that an experiment needs. The full contract is `assay.method.Method`."""

    version: ClassVar[int] = 1  # raise it when a change of the method moves its numbers
    # True if the method carries labels to strong views (`Unlabeled.carry`), so that these may move pixels.
    carries_labels: ClassVar[bool] = False

    def reads_unlabeled(self) -> bool:
        """Return True if the method trains on unlabelled images; else they and their batch stay out of the key."""
        return True

    def reads_strong(self) -> bool:
        """Return True if the method trains on strong views; else their operators stay out of the key."""
        return True

    def check_net(self, net: Net) -> None:
        """Raise a UserError if the method cannot be trained with this network."""


declare_family(MethodValue, methods_by_name)


class Data(Value):
    """The images, the split that decides which of their labels may be used, and the sampling of labelled images."""

    source: AnySource = param(factory=Textures)
    split: Split = param(factory=Split)
    sampling: ClassUniform | None = param(
        default=None, neutral=None, help="class_uniform: part of the labelled crops by class; none: all images in turn"
    )


class Experiment(Value):
    """One training of one method."""

    name = "experiment"
    method: MethodValue = param()
    data: Data = param(factory=Data)
    net: Net = param(factory=Net)
    recipe: Recipe = param(factory=Recipe)
    seed: int = param(default=0, low=0)
    start: Experiment | None = param(
        default=None,
        neutral=None,
        help="experiment whose official network new networks start from; its classifier only for equal classes",
    )

    def check(self) -> None:
        strong = self.recipe.augment.strong
        if strong.needs_carrying() and not self.method.carries_labels and self.method.reads_strong():
            raise FieldError(
                f"recipe.augment.strong must keep pixels in place with method={self.method.name}, which does not carry"
                f" labels to strong views, got {strong.name}, which moves or ignores pixels; set"
                " recipe.augment.strong=photometric, or choose operators that only change colours"
            )

    def to_json(self) -> Any:
        """Return plain JSON data from which `from_json` makes the same value."""
        return to_json(self)

    @staticmethod
    def from_json(data: Any) -> Experiment:
        """Return the experiment that `to_json` wrote, even if some fields were added since."""
        experiment: Experiment = from_json(Experiment, data)
        return experiment

    @staticmethod
    def from_document(document: Mapping[str, Any], key: str) -> Experiment:
        """Return a stored experiment; raise a UserError where another version wrote what this one does not have."""
        try:
            return Experiment.from_json(document["experiment"])
        except FieldError as error:
            version = document["identity"].get("numerics", "unknown")
            raise UserError(
                f"{key} is an experiment of another version of this package (numerics {version}, here {NUMERICS}), and"
                f" this version cannot describe it: {error} Use the version that trained it; its numbers stay readable."
            ) from error


class Runtime(Value):
    """Settings that change no number beyond its last bits. They are recorded with the result and not hashed."""

    device: str = param(default="auto", help="auto, cpu, cuda or cuda:N")
    loader_workers: int = param(default=0, low=0, help="processes that read images")
    threads: int = param(default=1, low=1, help="threads per rank")
    evaluation_batch: int | None = param(
        default=None, low=1, help="validation images of equal size predicted together; by their size if none"
    )
    compile: bool = param(default=False, help="torch.compile")
    channels_last: bool = param(default=False)
    checkpoint_every: int = param(default=500, low=1, help="steps between two checkpoints")
    log_every: int = param(default=20, low=1, help="steps between two lines of metrics.jsonl; their means are logged")
    progress: Literal["auto", "bar", "lines", "none"] = param(default="auto")

    def check(self) -> None:
        kind, _, index = self.device.partition(":")
        if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
            raise FieldError(f"device must be auto, cpu, cuda or cuda:N, got {self.device!r}")

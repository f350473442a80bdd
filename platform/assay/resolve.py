"""From what the user wrote to what will run: lists and files are found here, and hashed.

Only a `Resolved` experiment has a key. Where the data cannot be read (a login node), resolving raises
`DataMissing`; a worker that sees the data resolves instead.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from assay.data.splits import SplitResult, split
from assay.experiment import Data, Experiment
from assay.identity import identity_of, key_of
from assay.nets.spec import Encoder
from assay.places import Places
from assay.values import Value, walk


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resolved:
    """An experiment whose lists and files were found."""

    experiment: Experiment
    images: SplitResult  # the labelled, unlabelled and validation images by id
    facts: Mapping[str, Mapping[str, Any]]  # by path: what stands in the key for lists and files
    inputs: Mapping[str, Resolved]  # by path: the experiments that must be trained before

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What the key is the hash of."""
        return identity_of(self.experiment, self.facts, lambda path: self.inputs[path].key)

    @functools.cached_property
    def key(self) -> str:
        """The experiment's folder in the store, and its name in every table."""
        return key_of(self.identity)

    def document(self) -> dict[str, Any]:
        """What is stored as experiment.json."""
        return {
            "key": self.key,
            "experiment": self.experiment.to_json(),
            "identity": self.identity,
            "inputs": {path: each.key for path, each in self.inputs.items()},
            "notes": list(self.images.notes),
        }


def resolve(experiment: Experiment, places: Places) -> Resolved:
    """Find and hash everything that the experiment names. Raises a UserError that says what is missing."""
    images = split(experiment.data.source, experiment.data.split, places)
    inputs: dict[str, Resolved] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    for path, value in _walk_outside_inputs(experiment):
        if isinstance(value, Experiment) and path:
            inputs[path] = resolve(value, places)
        elif isinstance(value, Data):
            facts[path] = _data_facts(value, images, places)
        elif isinstance(value, Encoder):
            facts[path] = value.facts(places)
    return Resolved(experiment=experiment, images=images, facts=facts, inputs=inputs)


def _walk_outside_inputs(experiment: Experiment) -> list[tuple[str, Value]]:
    """Every value of the experiment, nested experiments as wholes."""
    found = list(walk(experiment))
    inner = [path for path, value in found if isinstance(value, Experiment) and path]
    return [(path, value) for path, value in found if not any(path.startswith(f"{outer}.") for outer in inner)]


def _data_facts(data: Data, images: SplitResult, places: Places) -> dict[str, Any]:
    """What stands for the data in the key. How a list was named or drawn takes no part: equal lists are equal."""
    return {
        "split": {
            "labeled": images.describe("labeled"),
            "unlabeled": images.describe("unlabeled"),
            "val": images.describe("val"),
        },
        "fingerprint": data.source.fingerprint(places),
    }

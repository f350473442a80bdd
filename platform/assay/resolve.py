"""From what the user wrote to what will run: lists and files are found here, and hashed.

Only a `Resolved` experiment has a key. Where the data cannot be read (a login node), resolving raises
`DataMissing`; a cluster's node that sees the data resolves instead (see assay.cluster.remote_resolve).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from assay.data.splits import SplitResult, split
from assay.errors import UserError
from assay.experiment import Data, Experiment
from assay.identity import identity_of, key_of, keys_by_seed
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
    like: Resolved | None = None  # one that differs in its seed alone, whose identity spares this one's work
    seen_by: str = ""  # the machine that found them, where this one does not see them

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What the key is the hash of."""
        if self.like is not None:
            return {**self.like.identity, "seed": self.experiment.seed}
        return identity_of(self.experiment, self.facts, lambda path: self.inputs[path].key)

    @functools.cached_property
    def key(self) -> str:
        """The experiment's folder in the store, and its name in every table."""
        return key_of(self.identity) if self.like is None else self.like._key_of_seed(self.experiment.seed)

    @functools.cached_property
    def _key_of_seed(self) -> Callable[[int], str]:
        return keys_by_seed(self.identity)

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
    return Resolver(places).resolve(experiment)


class Resolver:
    """Resolves many experiments; lists and files that several name are looked at once."""

    def __init__(self, places: Places, *, seen_by: str = "") -> None:
        """seen_by: the machine that this is, where another one is to know"""
        self._places, self._seen_by = places, seen_by
        self._images: dict[Data, SplitResult | UserError] = {}
        self._data_facts: dict[Data, dict[str, Any]] = {}
        self._encoder_facts: dict[Encoder, dict[str, Any]] = {}
        self._but_for_seed: dict[tuple[Value, ...], Resolved] = {}

    def resolve(self, experiment: Experiment) -> Resolved:
        """See `resolve`."""
        rest = but_for_seed(experiment)
        if rest not in self._but_for_seed:
            self._but_for_seed[rest] = self._resolved(experiment)
        like = self._but_for_seed[rest]
        return like if like.experiment == experiment else dataclasses.replace(like, experiment=experiment, like=like)

    def take_over(self, resolved: Resolved) -> None:
        """Let what another machine found stand for all seeds of an experiment."""
        self._but_for_seed[but_for_seed(resolved.experiment)] = resolved

    def _resolved(self, experiment: Experiment) -> Resolved:
        experiment.method.check_net(experiment.net)
        data, images = experiment.data, self._split(experiment.data)
        inputs: dict[str, Resolved] = {}
        facts: dict[str, Mapping[str, Any]] = {}
        for path, value in _walk_outside_inputs(experiment):
            if isinstance(value, Experiment) and path:
                inputs[path] = self.resolve(value)
            elif isinstance(value, Data):
                if data not in self._data_facts:
                    self._data_facts[data] = _data_facts(data, images, self._places)
                facts[path] = self._data_facts[data]
            elif isinstance(value, Encoder):
                if value not in self._encoder_facts:
                    self._encoder_facts[value] = value.facts(self._places)
                facts[path] = self._encoder_facts[value]
        return Resolved(experiment=experiment, images=images, facts=facts, inputs=inputs, seen_by=self._seen_by)

    def _split(self, data: Data) -> SplitResult:
        if data not in self._images:
            try:
                self._images[data] = split(data.source, data.split, self._places)
            except UserError as error:
                self._images[data] = error
        found = self._images[data]
        if isinstance(found, UserError):
            raise found
        return found


def but_for_seed(experiment: Experiment) -> tuple[Value, ...]:
    """What is equal for experiments that differ in their seed alone: they name the same lists and files."""
    return experiment.method, experiment.data, experiment.net, experiment.recipe


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

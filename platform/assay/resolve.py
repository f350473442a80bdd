"""Resolution: the lists and files that an experiment names are found and hashed.

Only a `Resolved` experiment has a key. Where the data cannot be read (a login node), resolving raises
`DataMissing`. A node of the cluster that can read the data resolves instead (see assay.cluster.remote_resolve).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from assay.data.splits import SplitResult, usable_split
from assay.errors import UserError
from assay.experiment import Data, Experiment
from assay.identity import identity_of, key_of, keys_by_seed
from assay.nets.spec import Encoder
from assay.nets.weights import weights_hash
from assay.places import Places
from assay.values import Value, walk


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resolved:
    """An experiment whose lists and files have been found."""

    experiment: Experiment
    images: SplitResult  # the labelled, unlabelled and validation images by id
    fingerprints: Mapping[str, Mapping[str, Any]]  # by path: the content of the key in place of lists and files
    inputs: Mapping[str, Resolved]  # by path: the experiments that must be trained before this one
    like: Resolved | None = None  # the same experiment with another seed, whose identity is reused
    resolved_on: str = ""  # the machine that found lists and files, if it is not this one

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The plain data whose hash is the key."""
        if self.like is not None:
            return {**self.like.identity, "seed": self.experiment.seed}
        return identity_of(self.experiment, self.fingerprints, lambda path: self.inputs[path].key)

    @functools.cached_property
    def key(self) -> str:
        """The name of the experiment's folder in the store and of its rows in every table."""
        return key_of(self.identity) if self.like is None else self.like._key_of_seed(self.experiment.seed)

    @functools.cached_property
    def _key_of_seed(self) -> Callable[[int], str]:
        return keys_by_seed(self.identity)

    def document(self) -> dict[str, Any]:
        """Return the content of experiment.json."""
        return {
            "key": self.key,
            "experiment": self.experiment.to_json(),
            "identity": self.identity,
            "inputs": {path: resolved.key for path, resolved in self.inputs.items()},
            "notes": list(self.images.notes),
        }


def resolve(experiment: Experiment, places: Places) -> Resolved:
    """Find and hash every list and file that the experiment names; raise a UserError that names a missing one."""
    return Resolver(places).resolve(experiment)


class Resolver:
    """The resolver of many experiments, which reads each list and file once."""

    def __init__(self, places: Places, *, resolved_on: str = "") -> None:
        """Resolve in `places`. `resolved_on` names this machine if its results are sent to another machine."""
        self._places, self._resolved_on = places, resolved_on
        self._images: dict[Data, SplitResult | UserError] = {}
        self._data_fingerprints: dict[Data, dict[str, Any]] = {}
        self._encoder_fingerprints: dict[Encoder, dict[str, Any]] = {}
        self._without_seed: dict[tuple[Value | None, ...], Resolved] = {}

    def resolve(self, experiment: Experiment) -> Resolved:
        """Find and hash every list and file that the experiment names."""
        seedless = without_seed(experiment)
        if seedless not in self._without_seed:
            self._without_seed[seedless] = self._resolve_anew(experiment)
        like = self._without_seed[seedless]
        return like if like.experiment == experiment else dataclasses.replace(like, experiment=experiment, like=like)

    def add(self, resolved: Resolved) -> None:
        """Use what another machine resolved, for all seeds of its experiment."""
        self._without_seed[without_seed(resolved.experiment)] = resolved

    def _resolve_anew(self, experiment: Experiment) -> Resolved:
        experiment.method.check_net(experiment.net)
        images = self._split(experiment.data)
        inputs: dict[str, Resolved] = {}
        fingerprints: dict[str, Mapping[str, Any]] = {}
        for path, value in _walk_outside_inputs(experiment):
            if isinstance(value, Experiment) and path:
                inputs[path] = self.resolve(value)
            elif isinstance(value, Data):
                fingerprints[path] = self._data_fingerprint(value, images)
            elif isinstance(value, Encoder):
                fingerprints[path] = self._encoder_fingerprint(value)
        return Resolved(
            experiment=experiment,
            images=images,
            fingerprints=fingerprints,
            inputs=inputs,
            resolved_on=self._resolved_on,
        )

    def _split(self, data: Data) -> SplitResult:
        if data not in self._images:
            try:
                self._images[data] = usable_split(data.source, data.split, self._places)
            except UserError as error:
                self._images[data] = error
        result = self._images[data]
        if isinstance(result, UserError):
            raise result
        return result

    def _data_fingerprint(self, data: Data, images: SplitResult) -> dict[str, Any]:
        if data not in self._data_fingerprints:
            self._data_fingerprints[data] = _data_fingerprint(data, images, self._places)
        return self._data_fingerprints[data]

    def _encoder_fingerprint(self, encoder: Encoder) -> dict[str, Any]:
        if encoder not in self._encoder_fingerprints:
            self._encoder_fingerprints[encoder] = {"weights": weights_hash(encoder, self._places)}
        return self._encoder_fingerprints[encoder]


def without_seed(experiment: Experiment) -> tuple[Value | None, ...]:
    """Return everything but the seed. Experiments that agree in it name the same lists and files."""
    return experiment.method, experiment.data, experiment.net, experiment.recipe, experiment.start


def _walk_outside_inputs(experiment: Experiment) -> list[tuple[str, Value]]:
    """Return every value of the experiment by path, but none inside a nested experiment."""
    values = list(walk(experiment))
    nested = [path for path, value in values if isinstance(value, Experiment) and path]
    return [(path, value) for path, value in values if not any(path.startswith(f"{outer}.") for outer in nested)]


def _data_fingerprint(data: Data, images: SplitResult, places: Places) -> dict[str, Any]:
    """Return the content of the key for the data.

    It does not hold how a list was named or drawn: equal lists are equal.
    """
    return {
        "split": {
            "labeled": images.describe("labeled"),
            "unlabeled": images.describe("unlabeled"),
            "val": images.describe("val"),
        },
        "fingerprint": data.source.fingerprint(places),
    }

"""An Optuna study in a journal file, with every proposal in the order in which it was made."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from assay.errors import UserError
from assay.search.objectives import Direction
from assay.search.samplers import draw
from assay.search.space import Parameter, Point

_ENTRY = b'{"op_code":'  # the beginning of every line that Optuna writes


class OptunaStudy:
    """Proposals and their outcomes. One process writes at a time: the owner of the search's claim.

    User attributes of a trial, as stored:

    keys          the keys of its trainings, one for each seed; empty for a refused configuration
    stand on      the keys of the trainings that those need, such as teachers
    rung          the index of the rung that it is trained to
    repeats       the number of the first trial with the same configuration; such a trial does not count
    pruned_at     the step at which it was pruned
    error         the error that it failed with
    origin, sampler, sampler_seed, proposed
                  the source and the time of its proposal

    The study's attribute "given back" lists failed trials that are proposed again and no longer count.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    @classmethod
    def open(cls, path: Path, name: str, directions: Sequence[Direction]) -> OptunaStudy:
        """Return a study to add to, and create it where there is none; only the owner of the claim may call this."""
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = _storage(path)  # this checks the file before a torn line is cut off: it may be no journal at all
        _drop_torn_line(path)
        study = optuna.create_study(storage=storage, study_name=name, directions=list(directions), load_if_exists=True)
        return cls(study)

    @classmethod
    def find(cls, path: Path, name: str) -> OptunaStudy | None:
        """Return a study only for reading, since another process may be adding to it; None where there is none."""
        if not path.exists():
            return None
        storage = _storage(path)
        exists = name in optuna.get_all_study_names(storage)
        return cls(optuna.load_study(study_name=name, storage=storage)) if exists else None

    @staticmethod
    def names(path: Path) -> list[str]:
        """Return the names of a journal's studies in the order in which they began."""
        return optuna.get_all_study_names(_storage(path)) if path.exists() else []

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the search in its last run."""
        return self._study.user_attrs

    @property
    def study(self) -> optuna.Study:
        """The study itself, for computations by Optuna."""
        return self._study

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Return the trials in one of these states, or all trials, in order."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def proposals(self) -> list[FrozenTrial]:
        """Return the trials that count: neither repetitions nor failed trials that are proposed again."""
        retried = self._retried()
        return [
            trial
            for trial in self.trials()
            if "keys" in trial.user_attrs and "repeats" not in trial.user_attrs and trial.number not in retried
        ]

    def retry_failed(self) -> list[str]:
        """Mark every failed configuration for another proposal; return the keys of its trainings."""
        failed = [trial for trial in self.proposals() if trial.state == TrialState.FAIL]
        self._study.set_user_attr("given back", [*self._retried(), *(trial.number for trial in failed)])
        return [key for trial in failed for key in trial.user_attrs["keys"]]

    def to_retry(self) -> list[tuple[str, Point]]:
        """Return the configurations to propose again, each behind its origin."""
        retried = self._retried()
        return [("again", trial.params) for trial in self.trials() if trial.number in retried]

    def _retried(self) -> list[int]:
        return self._study.user_attrs.get("given back", [])

    def record_settings(self, settings: Mapping[str, Any]) -> None:
        """Store the settings of the search; unchanged ones are not written again."""
        for name, value in settings.items():
            if self._study.user_attrs.get(name) != value:
                self._study.set_user_attr(name, value)

    def propose(
        self,
        parameters: tuple[Parameter, ...],
        sampler: optuna.samplers.BaseSampler,
        attributes: Mapping[str, Any],
        initial: Point | None,
    ) -> tuple[int, Point]:
        """Add a trial and return its number and its values: the initial ones where given, else the sampler's."""
        if initial is not None and not self.trials(TrialState.WAITING):  # a process killed here left the same trial
            self._study.enqueue_trial(dict(initial))
        self._study.sampler = sampler
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # initial values outside the range are refused earlier
            trial = self._study.ask()
            for name, value in attributes.items():  # before the draw: a completely drawn trial has all attributes
                trial.set_user_attr(name, value)
            point = draw(trial, parameters)
        return trial.number, point

    def report(self, number: int, means: Mapping[int, float]) -> None:
        """Store a trial's means over its seeds by step."""
        frozen = self._frozen(number)
        trial = optuna.trial.Trial(self._study, frozen._trial_id)  # a trial of an earlier run has no other handle
        for step, mean in means.items():
            if step not in frozen.intermediate_values:
                trial.report(mean, step)

    def complete(self, number: int, values: Sequence[float]) -> None:
        """Store the objectives of a trial whose seeds are all trained to the end."""
        self._tell(number, TrialState.COMPLETE, values)

    def prune(self, number: int, step: int) -> None:
        """Store that a trial was pruned at a step."""
        self.annotate(number, "pruned_at", step)
        self._tell(number, TrialState.PRUNED)

    def fail(self, number: int, error: str) -> None:
        """Store the error of a failed trial."""
        self.annotate(number, "error", error)
        self._tell(number, TrialState.FAIL)

    def annotate(self, number: int, name: str, value: Any) -> None:
        """Set a user attribute of a trial."""
        optuna.trial.Trial(self._study, self._frozen(number)._trial_id).set_user_attr(name, value)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        self._study.tell(number, values=list(values) if values is not None else None, state=state)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def _storage(path: Path) -> JournalStorage:
    """Return the journal as Optuna reads it; raise a UserError for a file that is no journal."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        _check_lines(path)
        return JournalStorage(JournalFileBackend(str(path)))
    except Exception as problem:
        raise UserError(
            f"{path} cannot be read as an Optuna journal ({type(problem).__name__}: {problem}): move it away, or give"
            " --out another folder."
        ) from None


def _check_lines(path: Path) -> None:
    """Raise for errors that Optuna overlooks: a last line that is no entry, and a single line without an end."""
    if not path.exists():
        return
    *complete, torn = path.read_bytes().split(b"\n")
    if complete:
        json.loads(complete[-1])
    elif not _ENTRY.startswith(torn[: len(_ENTRY)]):
        raise ValueError("the first line does not begin like an entry")


def _drop_torn_line(path: Path) -> None:
    """Cut off a line that a killed process left incomplete: another line after it would be unreadable."""
    if not path.exists():
        return
    try:
        with path.open("r+b") as file:
            content = file.read()
            complete = content.rfind(b"\n") + 1
            if complete < len(content):
                file.truncate(complete)
    except OSError as problem:
        raise UserError(f"{path} cannot be written ({problem}): give --out a folder that you can write.") from None

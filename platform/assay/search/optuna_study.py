"""The search's memory: an Optuna study in a journal file, where every proposal stands in the order it was made."""

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
from assay.search.samplers import drawn
from assay.search.space import Parameter, Point

JOURNAL = "optuna.journal"
_ENTRY = b'{"op_code":'  # what Optuna begins every line with


class OptunaStudy:
    """Proposals and what came of them. One process at a time writes it: its owner holds the search's claim."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    @classmethod
    def open(cls, path: Path, name: str, directions: Sequence[Direction]) -> OptunaStudy:
        """The study to add to, which is made where there is none; for the owner of the search's claim."""
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = _storage(path)  # first, since nothing is cut off a file of somebody else's
        _drop_torn_line(path)
        study = optuna.create_study(storage=storage, study_name=name, directions=list(directions), load_if_exists=True)
        return cls(study)

    @classmethod
    def look(cls, path: Path, name: str) -> OptunaStudy | None:
        """The study as it is now, to be read and not touched: another process may be adding to it."""
        if not path.exists():
            return None
        storage = _storage(path)
        known = name in optuna.get_all_study_names(storage)
        return cls(optuna.load_study(study_name=name, storage=storage)) if known else None

    @staticmethod
    def names(path: Path) -> list[str]:
        """The studies of a journal, in the order in which they were begun."""
        return optuna.get_all_study_names(_storage(path)) if path.exists() else []

    @property
    def noted(self) -> Mapping[str, Any]:
        """How the search was set up when it was last run."""
        return self._study.user_attrs

    @property
    def study(self) -> optuna.Study:
        """The study, for what Optuna computes from it."""
        return self._study

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The proposals in one of these states, or all, in order."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def proposals(self) -> list[FrozenTrial]:
        """What was proposed, but for repetitions and what failed and was given back."""
        back = self._study.user_attrs.get("given back", [])
        return [
            each
            for each in self.trials()
            if "keys" in each.user_attrs and "repeats" not in each.user_attrs and each.number not in back
        ]

    def give_back_failed(self) -> list[str]:
        """Have every failed configuration proposed once more; the keys of their trainings."""
        failed = [each for each in self.proposals() if each.state == TrialState.FAIL]
        back = self._study.user_attrs.get("given back", [])
        self._study.set_user_attr("given back", [*back, *(each.number for each in failed)])
        return [key for each in failed for key in each.user_attrs["keys"]]

    def given_back(self) -> list[tuple[str, Point]]:
        """The configurations to be proposed once more, and why."""
        back = self._study.user_attrs.get("given back", [])
        return [("again", each.params) for each in self.trials() if each.number in back]

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write down how the search is set up now."""
        for name, value in facts.items():
            if self._study.user_attrs.get(name) != value:
                self._study.set_user_attr(name, value)

    def propose(
        self,
        of: tuple[Parameter, ...],
        sampler: optuna.samplers.BaseSampler,
        facts: Mapping[str, Any],
        wish: Point | None,
    ) -> tuple[int, Point]:
        """The next configuration: the wished one, else the sampler's; its number, and what was drawn."""
        if wish is not None and not self.trials(TrialState.WAITING):  # one that was killed here had the same wish
            self._study.enqueue_trial(dict(wish))
        self._study.sampler = sampler
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a wished value outside the range is refused before
            trial = self._study.ask()
            for name, value in facts.items():  # first, so that a configuration that is wholly drawn has them
                trial.set_user_attr(name, value)
            point = drawn(trial, of)
        return trial.number, point

    def report(self, number: int, means: Mapping[int, float]) -> None:
        """The mean over seeds, by step."""
        frozen = self._frozen(number)
        trial = optuna.trial.Trial(self._study, frozen._trial_id)  # a trial of an earlier run has no other handle
        for step, mean in means.items():
            if step not in frozen.intermediate_values:
                trial.report(mean, step)

    def complete(self, number: int, values: Sequence[float]) -> None:
        """All its seeds were trained to the end."""
        self._tell(number, TrialState.COMPLETE, values)

    def prune(self, number: int, step: int) -> None:
        """It was given up at a step."""
        self.annotate(number, "pruned_at", step)
        self._tell(number, TrialState.PRUNED)

    def fail(self, number: int, error: str) -> None:
        """One of its trainings failed."""
        self.annotate(number, "error", error)
        self._tell(number, TrialState.FAIL)

    def annotate(self, number: int, name: str, value: Any) -> None:
        """Add a word to a proposal."""
        optuna.trial.Trial(self._study, self._frozen(number)._trial_id).set_user_attr(name, value)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        self._study.tell(number, values=list(values) if values is not None else None, state=state)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def _storage(path: Path) -> JournalStorage:
    """The journal as Optuna reads it, which has no error of its own for a file that is none."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        _check_lines(path)
        return JournalStorage(JournalFileBackend(str(path)))
    except Exception as problem:
        raise UserError(
            f"{path} cannot be read as a journal of Optuna's ({type(problem).__name__}: {problem}): move it away, or"
            " give --out another folder."
        ) from None


def _check_lines(path: Path) -> None:
    """Refuse what Optuna overlooks: a last line that is no entry, and a file whose only line has no end."""
    if not path.exists():
        return
    *whole, torn = path.read_bytes().split(b"\n")
    if whole:
        json.loads(whole[-1])
    elif not _ENTRY.startswith(torn[: len(_ENTRY)]):
        raise ValueError("it does not begin like one")


def _drop_torn_line(path: Path) -> None:
    """Cut off what a killed process left half written: a line after it would make the journal unreadable."""
    if not path.exists():
        return
    try:
        with path.open("r+b") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
    except OSError as problem:
        raise UserError(f"{path} cannot be written ({problem}): give --out a folder of your own.") from None

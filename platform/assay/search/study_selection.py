"""The Optuna study of a search's journal to which a run adds, and the folder of its tables."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import UserError
from assay.identity import canonical
from assay.search.configurations import Configurations, identity_text
from assay.search.objectives import Direction
from assay.search.space_signature import space_signature
from assay.store.claims import Claim, ClaimedElsewhere, acquire
from assay.store.local import LocalStore

if TYPE_CHECKING:
    from assay.search.optuna_study import OptunaStudy

CLAIM = "search"  # the folder with the claim of the process that leads the search


@dataclasses.dataclass(frozen=True)
class StudySelection:
    """The study with values that are comparable with this run's: the same training, the same objectives.

    Changing seeds, objectives, rungs, `--set` or the space (except range limits) starts a new Optuna study in the same
    journal. It reuses finished trainings but keeps its own tables in a subfolder.
    """

    folder: Path  # of the search in its profile, with the journal of all its studies
    configurations: Configurations
    rungs: tuple[int, ...]

    @property
    def journal(self) -> Path:
        """The path of Optuna's journal."""
        from assay.results.search_folder import JOURNAL

        return self.folder / JOURNAL

    @property
    def name(self) -> str:
        """The name of the study in the journal."""
        return f"{self.configurations.search.name} {self._digest()}"

    @property
    def tables_folder(self) -> Path:
        """The folder of the study's tables: the journal's for the first study in it, a subfolder for a later one."""
        from assay.search.optuna_study import OptunaStudy

        names = OptunaStudy.names(self.journal)
        return self.folder if not names or names[0] == self.name else self.folder / self._digest()

    def distinguishing_settings(self) -> dict[str, Any]:
        """Return the settings that distinguish studies, in readable form; they are stored, and hashed in the name."""
        selection = self.configurations.selection
        changes = {override.path: override.value for override in selection.overrides}  # the last of a path counts
        return {
            "seeds": sorted(selection.seeds),
            "objectives": list(self.configurations.search.objectives),
            "rungs": list(self.rungs),
            "column": self.configurations.settings.column,
            "set": [f"{path}={value}" for path, value in sorted(changes.items())],
            "space": space_signature(self.configurations.parameters),
        }

    def _digest(self) -> str:
        """Return a hash that is equal for runs whose configurations can share a table; ranges may grow between runs."""
        base = [identity_text(cell.experiment) for cell in self.configurations.cells({})]  # seeds included
        # The column is needed as well: the texts of experiments do not contain the lists, which are not read yet.
        settings = {name: value for name, value in self.distinguishing_settings().items() if name != "seeds"}
        return hashlib.sha256(canonical({"base": base, **settings}).encode()).hexdigest()[:8]

    # --- opening -----------------------------------------------------------------------------------------------

    def lead(self) -> Claim:
        """Return the claim to lead this search, which one process has at a time."""
        try:
            return acquire(LocalStore(self.folder), CLAIM)
        except ClaimedElsewhere as problem:
            raise UserError(f"another process leads this search: {problem}") from None

    def open(self, directions: Sequence[Direction]) -> OptunaStudy:
        """Return the study to add to, and create it where there is none."""
        from assay.search.optuna_study import OptunaStudy

        return OptunaStudy.open(self.journal, self.name, directions)

    def find(self) -> OptunaStudy | None:
        """Return the study only for reading; None where there is none."""
        from assay.search.optuna_study import OptunaStudy

        return OptunaStudy.find(self.journal, self.name)

    # --- other studies of the journal ----------------------------------------------------------------------------

    def note_on_others(self) -> str:
        """Return a note where this study is new in a journal with other studies; empty otherwise."""
        others = self._others()
        if not others or self.find() is not None:
            return ""
        return (
            f"{self.folder} holds another study of this search{self._difference(others)}: its configurations do not"
            f" count in this one, whose tables go to {self.tables_folder}"
        )

    def check_exists(self) -> None:
        """Raise a UserError where the study to report on does not exist."""
        if self.find() is not None:
            return
        others = self._others()
        where = f"with these flags in {self.folder} yet" if others else f"in {self.folder} yet"
        raise UserError(
            f"nothing was searched {where}{self._difference(others)}; run the search without --report-only first."
        )

    def _others(self) -> list[OptunaStudy]:
        from assay.search.optuna_study import OptunaStudy

        names = [name for name in OptunaStudy.names(self.journal) if name != self.name]
        studies = (OptunaStudy.find(self.journal, name) for name in names)
        return [study for study in studies if study is not None]

    def _difference(self, others: Sequence[OptunaStudy]) -> str:
        """Return the difference to the most similar of the other studies, in brackets."""
        if not others:
            return ""
        settings = self.distinguishing_settings()
        differences = min((_differences(settings, other.settings) for other in others), key=len)
        return f" ({'; '.join(differences) or 'it starts from other experiments'})"


def _differences(settings: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the settings in which another study differs; each parameter of the space counts as a setting."""
    common = [name for name in settings if name in other]  # older versions recorded fewer
    here, there = (_with_separate_parameters({name: record[name] for name in common}) for record in (settings, other))
    return [
        f"{name} {_text(there.get(name))} there, {_text(here.get(name))} here"
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name)
    ]


def _with_separate_parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    space = {f"space at {name}:": kind for name, kind in settings.get("space", {}).items()}
    return {name: value for name, value in settings.items() if name != "space"} | space


def _text(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value or "nothing")

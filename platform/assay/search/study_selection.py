"""Which study of a search's journal a run adds to, and where the tables of it lie."""

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

CLAIM = "search"  # the folder in which the process that leads the search holds its claim


@dataclasses.dataclass(frozen=True)
class StudySelection:
    """The study whose values can be compared with this run's: what is trained alike, for the same objectives."""

    folder: Path  # of the search in its profile, with the journal of all its studies
    configurations: Configurations
    rungs: tuple[int, ...]

    @property
    def journal(self) -> Path:
        """Optuna's journal."""
        from assay.search.optuna_study import JOURNAL

        return self.folder / JOURNAL

    @property
    def name(self) -> str:
        """Its name in the journal."""
        return f"{self.configurations.search.name} {self._alike()}"

    @property
    def tables(self) -> Path:
        """The folder of its tables: the journal's own for the first study in it, one inside for each later one."""
        from assay.search.optuna_study import OptunaStudy

        names = OptunaStudy.names(self.journal)
        return self.folder if not names or names[0] == self.name else self.folder / self._alike()

    def facts(self) -> dict[str, Any]:
        """What tells studies apart, as far as a person can read it."""
        changed = {each.path: each.value for each in self.configurations.choice.overrides}  # the last of a path counts
        return {
            "seeds": sorted(self.configurations.choice.seeds),
            "objectives": list(self.configurations.search.objectives),
            "rungs": list(self.rungs),
            "column": self.configurations.setting.column,
            "set": [f"{path}={value}" for path, value in sorted(changed.items())],
            "space": space_signature(self.configurations.parameters),
        }

    def _alike(self) -> str:
        """Equal for runs whose configurations can stand in one table; ranges may grow from run to run."""
        base = [identity_text(cell.experiment) for cell in self.configurations.cells({})]
        # Lists are not in what is told of an experiment before they are read: the column says which.
        facts = {name: value for name, value in self.facts().items() if name != "seeds"}  # they are in the base
        return hashlib.sha256(canonical({"base": base, **facts}).encode()).hexdigest()[:8]

    # --- opening -----------------------------------------------------------------------------------------------

    def alone(self) -> Claim:
        """The right to lead this search, which one process has at a time."""
        try:
            return acquire(LocalStore(self.folder), CLAIM)
        except ClaimedElsewhere as problem:
            raise UserError(f"this search is being led already: {problem}") from None

    def open(self, directions: Sequence[Direction]) -> OptunaStudy:
        """The study to add to, which is made where there is none."""
        from assay.search.optuna_study import OptunaStudy

        return OptunaStudy.open(self.journal, self.name, directions)

    def look(self) -> OptunaStudy | None:
        """The study to be read, where there is one."""
        from assay.search.optuna_study import OptunaStudy

        return OptunaStudy.look(self.journal, self.name)

    # --- beside others -----------------------------------------------------------------------------------------

    def apart(self) -> str:
        """What is to be said where the journal holds other studies, and this one would be new; empty elsewhere."""
        others = self._others()
        if not others or self.look() is not None:
            return ""
        return (
            f"{self.folder} holds another study of this search{self._difference(others)}: what it tried does not count"
            f" in this one, whose tables go to {self.tables}"
        )

    def check_there(self) -> None:
        """Refuse to report on a study that there is not."""
        if self.look() is not None:
            return
        others = self._others()
        what = f"with these flags in {self.folder} yet" if others else f"in {self.folder} yet"
        raise UserError(f"nothing was searched {what}{self._difference(others)}; run it without --report-only first.")

    def _others(self) -> list[OptunaStudy]:
        from assay.search.optuna_study import OptunaStudy

        found = (OptunaStudy.look(self.journal, each) for each in OptunaStudy.names(self.journal) if each != self.name)
        return [each for each in found if each is not None]

    def _difference(self, others: Sequence[OptunaStudy]) -> str:
        """In what the most similar of the others differs, in brackets."""
        if not others:
            return ""
        facts = self.facts()
        differing = min((_differing(facts, each.noted) for each in others), key=len)
        return f" ({'; '.join(differing) or 'it starts from other experiments'})"


def _differing(facts: Mapping[str, Any], noted: Mapping[str, Any]) -> list[str]:
    """What another study noted otherwise; of its space, each parameter for itself."""
    known = [name for name in facts if name in noted]
    here, there = (_one_by_one({name: each[name] for name in known}) for each in (facts, noted))
    return [
        f"{name} {_words(there.get(name))} there, {_words(here.get(name))} here"
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name)
    ]


def _one_by_one(facts: Mapping[str, Any]) -> dict[str, Any]:
    space = {f"space at {name}:": kind for name, kind in facts.get("space", {}).items()}
    return {name: value for name, value in facts.items() if name != "space"} | space


def _words(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value or "nothing")

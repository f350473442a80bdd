"""The layout of a search, as plain values: everything that a report needs beside the trials."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveLayout:
    """One number that the search maximizes or minimizes."""

    name: str
    label: str
    direction: Literal["maximize", "minimize"]
    percent: bool = False  # a share between 0 and 1, which users read in percent

    @property
    def column(self) -> str:
        """The column of the objective among the trials."""
        return f"objective/{self.name}"

    @property
    def sign(self) -> int:
        """The factor that makes larger numbers better."""
        return 1 if self.direction == "maximize" else -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterLayout:
    """One dimension of the space: a range, or some options."""

    path: str  # the name of the column among the trials, and in the report
    target: str = ""  # the path for `--set`, where it differs from the name of the column
    kind: Literal["float", "int", "choice"]
    log: bool = False
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    texts: tuple[str | None, ...] = ()  # for `--set`, where they differ from the options; None: no text can
    paper: float | str | None = None  # the paper's value, or its option; None: the paper has none
    when: tuple[tuple[str, str], ...] = ()  # its condition: earlier columns with their values

    @property
    def where(self) -> str:
        """The condition under which the parameter is searched, as text: "if method = cps"; empty without any."""
        return "if " + " and ".join(f"{path} = {value}" for path, value in self.when) if self.when else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchLayout:
    """A search in one profile."""

    name: str
    title: str
    profile: str
    profile_note: str = ""  # the data of this profile, in a sentence
    not_comparable: str = ""  # the deviations from the paper's setting
    sampler: str
    pruner: str
    seeds: tuple[int, ...]  # of every configuration
    command: str = ""  # trains the starting cell; with the flags of a configuration, that configuration
    objectives: tuple[ObjectiveLayout, ...]
    parameters: tuple[ParameterLayout, ...]

    @property
    def watched(self) -> int:
        """The index of the objective that is evaluated while training, and on which trials are pruned."""
        names = [objective.name for objective in self.objectives]
        return names.index("miou") if "miou" in names else 0

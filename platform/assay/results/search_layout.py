"""What was searched, as plain values: what a report needs beside the trials themselves."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveLayout:
    """One number that the search makes as large or as small as it can."""

    name: str
    label: str
    direction: Literal["maximize", "minimize"]
    percent: bool = False  # stored as a fraction, shown in percent

    @property
    def column(self) -> str:
        """Its column among the trials."""
        return f"objective/{self.name}"

    @property
    def sign(self) -> int:
        """What makes a larger number the better one."""
        return 1 if self.direction == "maximize" else -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterLayout:
    """One dimension of the space: a range or some options."""

    path: str  # its column among the trials, and its name in the report
    target: str = ""  # the path that `--set` takes, where the column has another name
    kind: Literal["float", "int", "choice"]
    log: bool = False
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    texts: tuple[str | None, ...] = ()  # what `--set` takes for each option, where not the option; None: no text can
    paper: float | str | None = None  # the paper's value, where it has one; of options, one of them
    when: tuple[tuple[str, str], ...] = ()  # columns before it that must hold these values for it to be searched

    @property
    def where(self) -> str:
        """When it is searched at all, for people: "if method = cps"; empty for always."""
        return "if " + " and ".join(f"{path} = {value}" for path, value in self.when) if self.when else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchLayout:
    """A search in one profile."""

    name: str
    title: str
    profile: str
    profile_note: str = ""  # what this profile trains on, in a sentence
    not_comparable: str = ""  # what keeps it from being the paper's setting
    sampler: str
    pruner: str
    seeds: tuple[int, ...]  # that every configuration is trained with
    command: str = ""  # what trains the cell that it starts from; with a configuration's flags, that configuration
    objectives: tuple[ObjectiveLayout, ...]
    parameters: tuple[ParameterLayout, ...]

    @property
    def watched(self) -> int:
        """The objective that is evaluated while training, which is what trials are pruned on."""
        names = [each.name for each in self.objectives]
        return names.index("miou") if "miou" in names else 0

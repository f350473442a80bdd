"""A search as text for the terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from assay.analysis.trials import Trial, front, trials_from
from assay.report.search.formatting import (
    SELECTION_NOTE,
    paper_variant,
    search_setup,
    setting_text,
    settings_text,
    space_text,
    state_counts,
    training_command,
    trial_name,
    trial_value_text,
    unsettable_note,
)
from assay.results.search_layout import ParameterLayout, SearchLayout


def summary(layout: SearchLayout, frame: pd.DataFrame, *, width: int = 100) -> str:
    """Return the space, the best trials and the flags that train them again, from a search's frame of trials."""
    trials = trials_from(layout, frame)
    best = front(layout, trials)
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None, highlight=False, soft_wrap=False)
    console.print(Text(f"{layout.name}  {layout.title}"))
    if layout.not_comparable:
        console.print(Text(f"Not the paper’s setting: {layout.not_comparable.rstrip('.')}."))
    console.print(Text(f"{state_counts(trials)} · {search_setup(layout)}"))
    console.print("", _space(layout, best), "", sep="\n")
    for line in _best_lines(layout, trials, best):
        # Lines with flags are for copying: they are never broken.
        console.print(Text(line), soft_wrap="--set" in line)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _space(layout: SearchLayout, best: Sequence[Trial]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("parameter", overflow="fold")
    table.add_column("searched", overflow="fold")
    for head in ("paper", _heading(best)):
        table.add_column(head, justify="right", overflow="fold")
    for parameter in layout.parameters:
        values = setting_text(parameter.paper), settings_text(parameter, best)
        table.add_row(*map(Text, (_name(parameter), space_text(parameter), *values)))
    return table


def _heading(best: Sequence[Trial]) -> str:
    return "best" if len(best) < 2 else "front"


def _name(parameter: ParameterLayout) -> str:
    """Return a parameter's path, with its condition where the path does not end with that condition's values."""
    named = parameter.path.endswith("".join(f" | {value}" for _, value in parameter.when))
    return parameter.path if named else f"{parameter.path} ({parameter.where})"


def _best_lines(layout: SearchLayout, trials: Sequence[Trial], best: Sequence[Trial]) -> Iterable[str]:
    if not best:
        yield "No configuration was completed yet."
        return
    for trial in best:
        name = trial_name(trial) + paper_variant(layout, trial, trials)
        yield f"{'best' if len(best) == 1 else 'front'}: {_values(layout, trial)} ({name})"
        yield f"  {training_command(layout, trial)}"
        if unsettable_note(layout, trial):
            yield unsettable_note(layout, trial)
    for trial in trials:
        if trial.origin == "paper" and trial not in best:
            whose = f"the paper’s values{paper_variant(layout, trial, trials)}"
            yield f"{whose}: {_values(layout, trial)} (trial {trial.number}, {trial.state})"
    if len(trials) > 1:
        yield SELECTION_NOTE


def _values(layout: SearchLayout, trial: Trial) -> str:
    """Return every objective with its spread over the seeds."""
    values = (
        f"{objective.label} {trial_value_text(layout, trial, index)}{' %' if objective.percent else ''}"
        for index, objective in enumerate(layout.objectives)
    )
    return ", ".join(values)

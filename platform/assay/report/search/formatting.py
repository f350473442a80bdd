"""The words and numbers of a search's report: the same ones in the terminal and on the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from assay.analysis.trials import STATES, Setting, Trial
from assay.report.formatting import NONE, number
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout

SELECTION_NOTE = (
    "The best of many is best by luck, too: its value is likely to be lower on other seeds. Before it is called"
    " better than the paper’s values, train both on seeds that the search has not seen."
)


def axis_label(objective: ObjectiveLayout) -> str:
    """An objective's name with its unit."""
    return f"{objective.label} (%)" if objective.percent else objective.label


def display_value(objective: ObjectiveLayout, value: float) -> float:
    """A value as it is shown."""
    return 100 * value if objective.percent else value


def value_text(objective: ObjectiveLayout, value: float | None) -> str:
    """An objective's value."""
    if value is None:
        return NONE
    return number(100 * value) if objective.percent else f"{value:.4g}".replace("-", "−")


def deviation_text(objective: ObjectiveLayout, deviation: float | None) -> str:
    """The standard deviation over the seeds, where there is one."""
    return "" if deviation is None else f" ± {value_text(objective, deviation)}"


def trial_value_text(layout: SearchLayout, trial: Trial, index: int) -> str:
    """What a trial reached in an objective, with its spread."""
    objective = layout.objectives[index]
    value = trial.reached(layout, index)
    return value_text(objective, value) + (
        deviation_text(objective, trial.deviations[index]) if value is not None else ""
    )


def space_text(parameter: ParameterLayout) -> str:
    """The range or the options of a parameter."""
    if parameter.kind == "choice":
        return ", ".join(parameter.options)
    low, high = (NONE if end is None else setting_text(end) for end in (parameter.low, parameter.high))
    return f"{low} to {high}{', log' if parameter.log else ''}"


def setting_text(value: Setting | None) -> str:
    """A parameter's value, short."""
    if value is None:
        return NONE
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings_text(parameter: ParameterLayout, trials: Sequence[Trial]) -> str:
    """A parameter's value in one trial or, in several, what they span."""
    values = [trial.settings[parameter.path] for trial in trials if parameter.path in trial.settings]
    if parameter.kind == "choice":
        return ", ".join(dict.fromkeys(map(str, values))) or NONE
    ends = sorted({value for value in values if not isinstance(value, str)})
    return " to ".join(dict.fromkeys(setting_text(end) for end in (ends[0], ends[-1]))) if ends else NONE


def set_flags(layout: SearchLayout, trial: Trial) -> str:
    """The flags that give a configuration again, to the last digit."""
    typed = ((target, text) for target, text in _typed(layout, trial) if text is not None)
    return " ".join(f"--set {shlex.quote(f'{target}={text}')}" for target, text in typed)


def command_line(layout: SearchLayout, trial: Trial) -> str:
    """The flags behind the command that takes them."""
    return " ".join(filter(None, (layout.command, set_flags(layout, trial))))


def unsettable_note(layout: SearchLayout, trial: Trial) -> str:
    """What no flag can say of a configuration, as a sentence; empty where the flags say all."""
    missing = [target for target, text in _typed(layout, trial) if text is None]
    return f"No flag can say {', '.join(missing)}: write it in a script." if missing else ""


def _typed(layout: SearchLayout, trial: Trial) -> Iterable[tuple[str, str | None]]:
    """Paths and what a command line has behind them."""
    for each in layout.parameters:
        if each.path in trial.settings:
            yield each.target or each.path, _text(each, trial.settings[each.path])


def _text(parameter: ParameterLayout, value: Setting) -> str | None:
    if not isinstance(value, str):
        return repr(value)
    return dict(zip(parameter.options, parameter.texts, strict=True)).get(value) if parameter.texts else value


def state_counts(trials: Sequence[Trial]) -> str:
    """How many trials are in which state."""
    found = {state: sum(trial.state == state for trial in trials) for state in STATES}
    said = ", ".join(f"{count} {state}" for state, count in found.items() if count)
    return f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}{': ' if said else ''}{said}"


def search_setup(layout: SearchLayout) -> str:
    """Who proposed, who pruned, and over which seeds."""
    seeds = f"seed{'' if len(layout.seeds) == 1 else 's'} {', '.join(map(str, layout.seeds))}"
    return f"sampler {layout.sampler} · pruner {layout.pruner} · {seeds} for each configuration"


def trial_name(trial: Trial) -> str:
    """A trial's number, and whose values it has where nobody searched for them."""
    whose = {"paper": ", the paper’s values", "base": ", the base’s values"}.get(trial.origin, "")
    return f"trial {trial.number}{whose}"


def paper_variant(layout: SearchLayout, trial: Trial, trials: Sequence[Trial]) -> str:
    """In what a trial of the paper's values differs from other such ones, of which there is one for each condition."""
    papers = [each for each in trials if each.origin == "paper"]
    told = [
        f"{each.target or each.path} = {settings_text(each, (trial,))}"
        for each in layout.parameters
        # What is drawn under a condition follows from the condition, which is told.
        if not each.where and len({paper.settings.get(each.path) for paper in papers}) > 1
    ]
    return f" with {', '.join(told)}" if told and trial in papers else ""

"""Texts and numbers of a search's report, for the terminal and the page alike."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from assay.analysis.trials import TRIAL_STATES, ParameterValue, Trial
from assay.report.formatting import NONE, number
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout
from assay.wording import count, plural

SELECTION_NOTE = (
    "The best of many trials owes part of its value to chance: expect a worse one on other seeds. To claim that it is"
    " better than the paper’s values, train both on seeds that the search has not used."
)


# --- objectives ----------------------------------------------------------------------------------------------


def axis_label(objective: ObjectiveLayout) -> str:
    """Return an objective's name with its unit."""
    return f"{objective.label} (%)" if objective.percent else objective.label


def display_value(objective: ObjectiveLayout, value: float) -> float:
    """Return a value in the unit of the report."""
    return 100 * value if objective.percent else value


def value_text(objective: ObjectiveLayout, value: float | None) -> str:
    """Return an objective's value as text: percent with two decimals, costs with four digits."""
    if value is None:
        return NONE
    return number(100 * value) if objective.percent else f"{value:.4g}".replace("-", "−")


def deviation_text(objective: ObjectiveLayout, deviation: float | None) -> str:
    """Return the standard deviation over the seeds as text; empty if there is none."""
    return "" if deviation is None else f" ± {value_text(objective, deviation)}"


def trial_value_text(layout: SearchLayout, trial: Trial, index: int) -> str:
    """Return the value that a trial reached in an objective, with its deviation over the seeds."""
    objective = layout.objectives[index]
    value = trial.reached(layout, index)
    return NONE if value is None else value_text(objective, value) + deviation_text(objective, trial.deviations[index])


# --- parameters ----------------------------------------------------------------------------------------------


def space_text(parameter: ParameterLayout) -> str:
    """Return the range or the options of a parameter."""
    if parameter.kind == "choice":
        return ", ".join(parameter.options)
    low, high = (NONE if end is None else setting_text(end) for end in (parameter.low, parameter.high))
    return f"{low} to {high}{', log' if parameter.log else ''}"


def setting_text(value: ParameterValue | None) -> str:
    """Return a parameter's value, rounded to four digits."""
    if value is None:
        return NONE
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings_text(parameter: ParameterLayout, trials: Sequence[Trial]) -> str:
    """Return a parameter's value in one trial, or its range over several trials."""
    values = [trial.settings[parameter.path] for trial in trials if parameter.path in trial.settings]
    if parameter.kind == "choice":
        return ", ".join(dict.fromkeys(map(str, values))) or NONE
    numbers = sorted({value for value in values if not isinstance(value, str)})
    ends = (numbers[0], numbers[-1]) if numbers else ()
    return " to ".join(dict.fromkeys(map(setting_text, ends))) or NONE


# --- command lines -------------------------------------------------------------------------------------------


def set_flags(layout: SearchLayout, trial: Trial) -> str:
    """Return the flags that set a configuration again, to the last digit."""
    texts = ((target, text) for target, text in _flag_texts(layout, trial) if text is not None)
    return " ".join(f"--set {shlex.quote(f'{target}={text}')}" for target, text in texts)


def training_command(layout: SearchLayout, trial: Trial) -> str:
    """Return the command that trains a configuration again, with its flags."""
    return " ".join(filter(None, (layout.command, set_flags(layout, trial))))


def unsettable_note(layout: SearchLayout, trial: Trial) -> str:
    """Return a sentence on the parameters that no flag can set; empty if flags can set all of them."""
    missing = [target for target, text in _flag_texts(layout, trial) if text is None]
    return f"No flag can set {', '.join(missing)}; set it in a script." if missing else ""


def _flag_texts(layout: SearchLayout, trial: Trial) -> Iterator[tuple[str, str | None]]:
    """Yield the path and the value of each parameter in the form of `--set`; None for a value without a text."""
    for parameter in layout.parameters:
        if parameter.path in trial.settings:
            yield parameter.target or parameter.path, _text_for_set(parameter, trial.settings[parameter.path])


def _text_for_set(parameter: ParameterLayout, value: ParameterValue) -> str | None:
    if not isinstance(value, str):
        return repr(value)
    return dict(zip(parameter.options, parameter.texts, strict=True)).get(value) if parameter.texts else value


# --- trials --------------------------------------------------------------------------------------------------


def state_counts(trials: Sequence[Trial]) -> str:
    """Return the number of trials, and how many of them are in each state."""
    counts = {state: sum(trial.state == state for trial in trials) for state in TRIAL_STATES}
    states = ", ".join(f"{number_in_state} {state}" for state, number_in_state in counts.items() if number_in_state)
    total = count(len(trials), "trial")
    return f"{total}: {states}" if states else total


def search_setup(layout: SearchLayout) -> str:
    """Return the sampler, the pruner and the seeds."""
    seeds = f"{plural('seed', len(layout.seeds))} {', '.join(map(str, layout.seeds))}"
    return f"sampler {layout.sampler} · pruner {layout.pruner} · {seeds} for each configuration"


def trial_name(trial: Trial) -> str:
    """Return a trial's number, and the origin of its values unless the sampler proposed them."""
    origin = {"paper": ", the paper’s values", "base": ", the base’s values"}.get(trial.origin, "")
    return f"trial {trial.number}{origin}"


def paper_variant(layout: SearchLayout, trial: Trial, trials: Sequence[Trial]) -> str:
    """Return the settings in which a trial of the paper's values differs from other trials of the paper's values.

    A space with conditions has one trial of the paper's values for each condition.
    """
    papers = [other for other in trials if other.origin == "paper"]
    settings = [
        f"{parameter.target or parameter.path} = {settings_text(parameter, (trial,))}"
        for parameter in layout.parameters
        # A parameter under a condition follows from the condition, which is named.
        if not parameter.where and len({paper.settings.get(parameter.path) for paper in papers}) > 1
    ]
    return f" with {', '.join(settings)}" if settings and trial in papers else ""

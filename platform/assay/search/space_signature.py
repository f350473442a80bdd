"""What of a space stays as it is within a study: all but the ends of its ranges, and the paper's values.

Optuna refuses other options, or a logarithm, under the name of a parameter that it knows. What was tried with fewer
parameters would stand beside the same experiments with all of them, and an option under an old label would be shown in
the place of the one that was trained.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

from assay.identity import canonical
from assay.search.space import Choice, Int, Parameter, Range
from assay.values import Value, to_json

_SHORT = 40  # characters; a longer option, such as a teacher, is told by its beginning and a digest


def space_signature(of: tuple[Parameter, ...]) -> dict[str, str]:
    """What must not change of each parameter, by its name, for people."""
    return {each.name: _kind(each.domain) + (f", if {each.condition()}" if each.when else "") for each in of}


def _kind(domain: Range) -> str:
    if isinstance(domain, Choice):
        return "choice of " + ", ".join(_option(domain, each) for each in domain.labels)
    whole = isinstance(domain, Int)
    step = None if whole and domain.step == 1 else domain.step
    return ("int" if whole else "float") + (", log" if domain.log else "") + (f", in steps of {step:g}" if step else "")


def _option(choice: Choice, label: Any) -> str:
    """A label, with what it stands for where it is not its own value."""
    if not isinstance(choice.options, Mapping):
        return _text(label)
    return f"{_text(label)} = {_text(choice.value(label))}"


def _text(value: Any) -> str:
    text = canonical(_data(value))
    if len(text) <= _SHORT:
        return text
    return f"{text[:_SHORT]}… {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _data(value: Any) -> Any:
    """A value as plain data, also where it describes an experiment."""
    if isinstance(value, Value):
        return to_json(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _data(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_data(each) for each in value]
    return value

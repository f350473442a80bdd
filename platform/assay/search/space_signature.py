"""The signature of a space: everything that stays the same within a study.

The ends of ranges and the paper's values may change. Everything else is part of the signature, for three reasons:
- Optuna refuses other options, or a logarithm, under the name of a known parameter.
- Trials with fewer parameters would stand beside the same experiments with all of them.
- A new option under an old label would be shown in the place of the option that was trained.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

from assay.identity import canonical
from assay.search.space import Choice, Int, Parameter, Range
from assay.values import Value, to_json

_MAX_LENGTH = 40  # characters; a longer option, such as a teacher, is shortened to its beginning and a digest


def space_signature(parameters: tuple[Parameter, ...]) -> dict[str, str]:
    """Return the kind of each parameter by its name, as text. The texts are stored and hashed."""
    return {
        parameter.name: _kind(parameter.domain) + (f", if {parameter.condition()}" if parameter.when else "")
        for parameter in parameters
    }


def _kind(domain: Range) -> str:
    if isinstance(domain, Choice):
        return "choice of " + ", ".join(_option(domain, label) for label in domain.labels)
    whole = isinstance(domain, Int)
    step = None if whole and domain.step == 1 else domain.step
    return ("int" if whole else "float") + (", log" if domain.log else "") + (f", in steps of {step:g}" if step else "")


def _option(choice: Choice, label: Any) -> str:
    """Return a label, followed by its option where the two differ."""
    if not isinstance(choice.options, Mapping):
        return _text(label)
    return f"{_text(label)} = {_text(choice.value(label))}"


def _text(value: Any) -> str:
    text = canonical(_data(value))
    if len(text) <= _MAX_LENGTH:
        return text
    return f"{text[:_MAX_LENGTH]}… {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _data(value: Any) -> Any:
    """Return a value, or the description of an experiment, as plain data."""
    if isinstance(value, Value):
        return to_json(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _data(content) for name, content in value.items()}
    if isinstance(value, (tuple, list)):
        return [_data(content) for content in value]
    return value

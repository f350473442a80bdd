"""Methods by short name.

This package knows no method. A package of methods lists its own in a plain dict, ``METHODS = {"cps":
"methods.cps:CPS"}``, so that a method is imported when it is asked for and not before.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Mapping

from assay.errors import UserError
from assay.values import Value, suggestion


def packages() -> tuple[str, ...]:
    """The packages that are asked for methods: `methods`, and those named in ASSAY_METHODS (comma-separated)."""
    more = os.environ.get("ASSAY_METHODS", "")
    return ("methods", *(name.strip() for name in more.split(",") if name.strip()))


@functools.cache
def places_of_methods() -> Mapping[str, str]:
    """Short name → "module:Class", over all packages."""
    found: dict[str, str] = {}
    for package in packages():
        try:
            listed: Mapping[str, str] = importlib.import_module(package).METHODS
        except ModuleNotFoundError as error:
            raise UserError(
                f"the package of methods {package!r} cannot be imported ({error}); install the project, or put its"
                " folders platform and . on PYTHONPATH."
            ) from error
        for name, place in listed.items():
            if found.setdefault(name, place) != place:
                raise UserError(f"two methods are called {name!r}: {found[name]} and {place}; rename one.")
    return found


def method_class(name: str) -> type[Value]:
    """The class of the method with this short name."""
    known = places_of_methods()
    if name not in known:
        raise UserError(f"there is no method {name!r}{suggestion(name, known)}.")
    module, _, attribute = known[name].partition(":")
    found: type[Value] = getattr(importlib.import_module(module), attribute)
    return found


class _Lazily(Mapping[str, type[Value]]):
    """The classes by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> type[Value]:
        if name not in places_of_methods():
            raise KeyError(name)
        return method_class(name)

    def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204
        return iter(places_of_methods())

    def __len__(self) -> int:
        return len(places_of_methods())


def methods_by_name() -> Mapping[str, type[Value]]:
    """All methods; a class is imported on access."""
    return _Lazily()

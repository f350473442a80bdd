"""Methods by short name.

This package imports no method. A package of methods lists its methods in a plain dict, ``METHODS = {"cps":
"methods.cps:CPS"}``, so that a method is imported only when it is used.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator, Mapping

from assay.errors import UserError
from assay.values import Value, suggestion


def packages() -> tuple[str, ...]:
    """Return the packages that list methods: `methods`, and those in ASSAY_METHODS (comma-separated)."""
    more = os.environ.get("ASSAY_METHODS", "")
    return ("methods", *(name.strip() for name in more.split(",") if name.strip()))


@functools.cache
def method_locations() -> Mapping[str, str]:
    """Return "module:Class" by short name, for the methods of all packages."""
    locations: dict[str, str] = {}
    for package in packages():
        try:
            methods: Mapping[str, str] = importlib.import_module(package).METHODS
        except ModuleNotFoundError as error:
            raise UserError(
                f"the package of methods {package!r} cannot be imported ({error}); install the project, or put its"
                " folders platform and . on PYTHONPATH."
            ) from error
        for name, location in methods.items():
            if locations.setdefault(name, location) != location:
                raise UserError(f"two methods are called {name!r}: {locations[name]} and {location}; rename one.")
    return locations


def method_class(name: str) -> type[Value]:
    """Return the class of the method with this short name."""
    locations = method_locations()
    if name not in locations:
        raise UserError(f"there is no method {name!r}{suggestion(name, locations)}.")
    module, _, attribute = locations[name].partition(":")
    cls: type[Value] = getattr(importlib.import_module(module), attribute)
    return cls


class _LazyMethods(Mapping[str, type[Value]]):
    """The classes of methods by name. A class is imported on access."""

    def __getitem__(self, name: str) -> type[Value]:
        if name not in method_locations():
            raise KeyError(name)
        return method_class(name)

    def __iter__(self) -> Iterator[str]:
        return iter(method_locations())

    def __len__(self) -> int:
        return len(method_locations())


def methods_by_name() -> Mapping[str, type[Value]]:
    """Return the classes of all methods by name. A class is imported on access."""
    return _LazyMethods()

"""What the flags of a search change of it."""

from __future__ import annotations

import argparse
import dataclasses

from assay.errors import UserError
from assay.search.pruning import Pruning
from assay.search.search import ProfileSettings, Search
from assay.study.tables import Profile
from assay.values import suggestion


def search_as_asked(search: Search, asked: argparse.Namespace) -> Search:
    """The search with what the flags change."""
    pruning = dataclasses.replace(search.pruning or Pruning(), name=asked.pruner) if asked.pruner else search.pruning
    if asked.objectives and tuple(asked.objectives) != search.objectives and not asked.pruner:
        pruning = None  # what a script says of its own objectives does not hold for others
    return dataclasses.replace(
        search,
        sampler=asked.sampler or search.sampler,
        sampler_seed=search.sampler_seed if asked.sampler_seed is None else asked.sampler_seed,
        pruning=pruning,
        objectives=tuple(asked.objectives) or search.objectives,
        grid_points=asked.grid_points or search.grid_points,
    )


def profile_as_asked(search: Search, name: str | None) -> Profile:
    """The profile of that name; the first where none is named."""
    known = {each.name: each for each in search.profiles}
    if name is not None and name not in known:
        raise UserError(f"--profile: {search.name} has no profile {name!r}{suggestion(name, known)}.")
    return search.profiles[0] if name is None else known[name]


def setting_as_asked(setting: ProfileSettings, asked: argparse.Namespace) -> ProfileSettings:
    """How much is searched, with what the flags change."""
    return dataclasses.replace(
        setting,
        configurations=asked.configurations or setting.configurations,
        seeds=tuple(sorted(set(asked.seeds or setting.seeds))),  # in one order, which the keys of a trial have too
        hours=asked.hours or setting.hours,
        device_hours=asked.device_hours or setting.device_hours,
    )

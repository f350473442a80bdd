"""Searches as values: `Search`, the domains of its space, and its pruning."""

from assay.search.pruning import Pruning
from assay.search.search import ProfileSettings, Search
from assay.search.space import Choice, Float, Int, When

__all__ = ["Choice", "Float", "Int", "ProfileSettings", "Pruning", "Search", "When"]

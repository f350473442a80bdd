"""Searches as values: `Search`, the domains of its space, and how configurations are given up."""

from assay.search.pruning import Pruning
from assay.search.search import Search, Setting
from assay.search.space import By, Choice, Float, Int

__all__ = ["By", "Choice", "Float", "Int", "Pruning", "Search", "Setting"]

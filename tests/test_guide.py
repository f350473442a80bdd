"""The files and functions that platform/README.md and README.md name exist, and the guide lists every room in order."""

from __future__ import annotations

import ast
import functools
import itertools
import re
from pathlib import Path

import pytest
from test_architecture import ASSAY, rank

ROOT = Path(__file__).parent.parent
GUIDE = "platform/README.md"
DOCUMENTS = ("README.md", GUIDE)
ROOMS = ("platform", "methods", "studies", "tests")
FILE = re.compile(r"(?<![\w./-])\w[\w./-]*\.py\b")
FUNCTION = re.compile(r"`(\w[\w./-]*\.py): ([\w.]+)`")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@functools.cache
def code_files() -> tuple[Path, ...]:
    return tuple(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))


def find(name: str) -> Path | None:
    """Return the file that a document names: below the root, below `platform/assay/`, or by its last parts."""
    exact = (ROOT / name, ROOT / "platform" / "assay" / name)
    by_last_parts = (path for path in code_files() if path.as_posix().endswith(f"/{name}"))
    return next((path for path in (*exact, *by_last_parts) if path.is_file()), None)


@functools.cache
def definitions(path: Path) -> frozenset[str]:
    """Return the names of a file's functions and classes, those of methods with their class: `Training.run`."""

    def names(body: list[ast.stmt], prefix: str) -> set[str]:
        result: set[str] = set()
        for statement in body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                result.add(prefix + statement.name)
            if isinstance(statement, ast.ClassDef):
                result |= names(statement.body, f"{prefix}{statement.name}.")
        return result

    return frozenset(names(ast.parse(path.read_text(encoding="utf-8")).body, ""))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document: str) -> None:
    names = set(FILE.findall(text_of(document)))
    assert names, f"{document} names no file; the pattern of this test no longer fits it"
    assert not sorted(name for name in names if find(name) is None)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_function_that_is_named_is_defined_in_its_file(document: str) -> None:
    named = set(FUNCTION.findall(text_of(document)))
    assert named or document != GUIDE, "the guide names no function; the pattern of this test no longer fits it"
    paths = {file: find(file) for file, _ in named}
    assert not sorted(
        f"{file}: {name}" for file, name in named if (path := paths[file]) is None or name not in definitions(path)
    )


def rooms() -> list[tuple[str, ...]]:
    """Return the rooms of each line of the guide's table, from the top down: `run` for `run/`, `resolve` for a file."""
    lines = text_of(GUIDE).split("| room |")[1].splitlines()[2:]
    return [tuple(re.findall(r"`(\w+)(?:/|\.py)`", line.split("|")[1])) for line in lines if line.startswith("|")]


def test_the_guide_lists_every_room() -> None:
    named = {room for line in rooms() for room in line}
    first_parts = {module.split(".")[1] for module in ASSAY if module != "assay"}
    assert named == first_parts - {"__main__"}


def test_the_guide_lists_rooms_in_the_order_of_imports() -> None:
    # The package assay.data has no rank of its own: its modules are ranked one by one.
    modules = [module for module in ASSAY if module not in ("assay", "assay.data")]
    ranks = [[rank(module) for module in modules if module.split(".")[1] in line] for line in rooms()]
    for above, below in itertools.pairwise(ranks):
        assert min(above) > max(below)

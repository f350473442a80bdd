"""The direction of imports, and imports that are forbidden."""

from __future__ import annotations

import ast
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the bottom up; a room may import itself and what stands before it.
RANKS = (
    ("assay.errors", "assay", "assay.terminal", "assay.atomic", "assay.wording", "assay.disambiguate"),
    ("assay.values", "assay.places", "assay.collectives", "assay.catalogue", "assay.signals"),
    (
        "assay.data.draws",
        "assay.data.views",
        "assay.data.source",
        "assay.data.sources",
        "assay.data.lists",
        "assay.data.list_owner",
        "assay.data.pickled",
        "assay.data.published",
    ),
    (
        "assay.data.contents",
        "assay.data.notes",
        "assay.data.decoded_file",
        "assay.data.cache",
        "assay.data.cache_folders",
        "assay.data.reading",
        "assay.data.label_check",
        "assay.data.splits",
        "assay.data.streams",
        "assay.data.class_uniform",
        "assay.recipe",
        "assay.data.normalize",
        "assay.data.index_maps",
        "assay.data.batch",
    ),
    (
        "assay.data.geometry",
        "assay.data.photometric",
        "assay.data.randaugment",
        "assay.data.strong_views",
        "assay.data.weak_views",
        "assay.data.boxes",
        "assay.data.stored_masks",
    ),
    ("assay.nets",),
    ("assay.experiment",),
    ("assay.identity", "assay.overrides", "assay.presets", "assay.method"),
    ("assay.resolve",),
    ("assay.store",),
    ("assay.results",),
    ("assay.analysis",),
    ("assay.report",),
    ("assay.training",),
    ("assay.export",),
    ("assay.study",),
    ("assay.execution",),
    ("assay.cluster",),
    ("assay.search",),
    ("assay.run", "assay.commands", "assay.__main__"),
)


def modules(package: Path, prefix: str) -> dict[str, Path]:
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join((prefix, *(part for part in parts if part != "__init__")))
        found[name] = path
    return found


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def rank(module: str) -> int:
    ranked = [
        (len(room), index)
        for index, rooms in enumerate(RANKS)
        for room in rooms
        if module == room or module.startswith(f"{room}.")
    ]
    assert ranked, f"{module} has no rank: give it one in RANKS"
    return max(ranked)[1]


ASSAY = modules(ROOT / "platform" / "assay", "assay")


# `assay` itself offers `assay.load`, and imports what it needs when it is called.
@pytest.mark.parametrize("module", sorted(set(ASSAY) - {"assay"}))
def test_imports_go_downward_only(module: str) -> None:
    for imported in imports(ASSAY[module]):
        if imported.split(".")[0] == "assay" and module.rpartition(".")[0] != imported:
            assert rank(imported) <= rank(module), f"{module} imports {imported}, which stands above it"


def test_no_imports_run_in_a_circle() -> None:
    graph = {name: (imports(path) & set(ASSAY)) - {name, "assay"} for name, path in ASSAY.items()}
    while ends := [name for name, imported in graph.items() if not imported & set(graph)]:
        for name in ends:
            del graph[name]
    assert not graph, f"these modules import each other, directly or through others: {sorted(graph)}"


@pytest.mark.parametrize("module", sorted(ASSAY))
def test_the_package_knows_no_method_and_no_study(module: str) -> None:
    assert not {each.split(".")[0] for each in imports(ASSAY[module])} & {"methods", "studies"}


@pytest.mark.parametrize("module", sorted(ASSAY))
def test_optuna_is_the_searchs_own(module: str) -> None:
    if not module.startswith("assay.search"):
        assert "optuna" not in {each.split(".")[0] for each in imports(ASSAY[module])}


@pytest.mark.parametrize("module", sorted(modules(ROOT / "methods", "methods")))
def test_methods_know_the_contract_and_not_the_loop(module: str) -> None:
    path = modules(ROOT / "methods", "methods")[module]
    for imported in imports(path):
        assert not imported.startswith(("assay.training", "assay.store", "assay.commands", "studies")), imported


def test_platform_stays_the_standard_librarys() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert platform.system()
    script = "import platform, torch; print(platform.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PYTHONPATH": "platform:.", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).parent != ROOT / "platform"


@pytest.mark.parametrize(
    "script",
    [
        "from assay.commands import run\ntry: run(['export', '--help'])\nexcept SystemExit: pass",
        "from assay.commands import run\ntry: run(['--help'])\nexcept SystemExit: pass",
        "from assay.commands import run\ntry: run(['train', '--help'])\nexcept SystemExit: pass",
        "from assay.commands import run\nrun(['status', '--out', 'nothing'])",
        "import assay.overrides, assay.presets, assay.resolve, methods, assay.store.local",
    ],
)
def test_reading_and_help_import_nothing_heavy(script: str) -> None:
    check = (
        f"import sys\n{script}\nprint(sorted({{'torch', 'ray', 'optuna', 'timm'}} & set(sys.modules)), file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env={"PYTHONPATH": "platform:.", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr.strip() == "[]"

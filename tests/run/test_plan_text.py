"""What --plan says: states counted once, and time and disk from whatever was trained before."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from execution.test_costs import finish
from helpers import small

from assay.execution.plan import make_plan
from assay.places import Places
from assay.presets import quick
from assay.resolve import resolve
from assay.run.launcher import Placement
from assay.run.plan_text import print_plan
from assay.store import checkpoints, records
from assay.store.local import LocalStore
from assay.study import Nested, Profile, Row, Study, Table
from assay.study.cells import Cell, Selection, cells_of, quoted_columns

KD = {"method": "kd", "method.teachers": (Nested({"method": "supervised"}, seed=7),)}
HERE = Placement(gangs=0, workers=1)


def study(*rows: Row, seeds: tuple[int, ...] = (0,)) -> Study:
    table = Table(name="mkd.table1", rows=rows, columns=("1/16(92)",))
    profile = Profile(name="quick", note="drawn", start=quick, columns={"1/16(92)": {}}, seeds=seeds)
    return Study(name="s", title="S", tables=(table,), profiles=(profile,))


def cells(of: Study) -> list[Cell]:
    return cells_of(of, of.profiles[0], Selection())


def printed(of: Study, store: LocalStore, placement: Placement = HERE) -> str:
    lines: list[str] = []
    plan = make_plan(cells(of), store, Places())
    print_plan(
        plan,
        of.profiles[0],
        store,
        placement=placement,
        quoted=quoted_columns(of.profiles[0], of.tables),
        equal_rows=(),
        probed={},
        paper_profile=None,
        print_line=lines.append,
    )
    return "\n".join(lines)


def test_time_and_disk_come_from_what_any_study_trained_of_the_same_shape(store: LocalStore) -> None:
    of = study(Row("CPS", {"method": "cps"}), seeds=(0, 1))
    assert "time unknown" in printed(of, store)
    finish(store, small("cps"))  # smaller networks and crops tell nothing
    assert "time unknown" in printed(of, store)
    (experiment, _) = (cell.experiment for cell in cells(of))
    finish(store, experiment.replace(seed=99))
    assert f"about {2 * experiment.recipe.steps * 10 / 3600:.1f} h" in printed(of, store)
    assert "2 MB to keep" in printed(of, store)
    half = printed(of, store, Placement(gangs=2, workers=3, machines="a cluster"))
    assert "runs in 2 gangs of 3 workers on a cluster" in half
    assert f"about {experiment.recipe.steps * 10 / 3600:.1f} h" in half


def test_the_plan_says_what_sharing_saves(store: LocalStore) -> None:
    both = {"method": "kd", "method.teachers": (Nested({"method": "supervised"}, seed=7), Nested(KD, seed=3))}
    rows = (Row("Supervised", {"method": "supervised"}), Row("KD", KD), Row("hot", {**KD, "method.temperature": 4.0}))
    # Of each seed 1, 2, 2 and 3: one of the last row's two teachers is the other one's teacher, too.
    text = printed(study(*rows, Row("both", both), seeds=(0, 1)), store)
    assert "10 trainings; each cell with inputs of its own would take 16 (1.6 x)" in text
    # Two labels of one training are trained twice where nothing is shared.
    text = printed(study(Row("Supervised", {"method": "supervised"}), Row("again", {"method": "supervised"})), store)
    assert "1 training; each cell with inputs of its own would take 2" in text
    assert "of its own" not in printed(study(*rows[:1], seeds=(0, 1)), store), "nothing is shared"


def test_what_a_failed_teacher_blocks_is_counted_as_blocked_and_not_as_to_train(store: LocalStore) -> None:
    of = study(Row("Supervised", {"method": "supervised"}), Row("KD", KD), seeds=(0, 1))
    plan = make_plan(cells(of), store, Places())
    (teacher,) = (node.key for node in plan.nodes.values() if node.resolved.experiment.seed == 7)
    records.add_failure(store, teacher, {"error": "NotFinite: so"}, final=True)
    text = printed(of, store)
    assert "1 failed, 2 to train, 2 blocked" in text
    blocked = [line.split("  ")[2:] for line in text.splitlines() if "blocked: needs" in line]
    needs = (
        f"blocked: needs {teacher} (supervised textures {plan.nodes[teacher].resolved.experiment.data.split.labeled}"
    )
    assert blocked == [[f"KD | 1/16(92) | seed {seed}", f"{needs} seed 7)"] for seed in (0, 1)]
    again = make_plan(cells(of), store, Places())
    assert {node.resolved.experiment.method.name for node in again.to_run} == {"supervised"}


def test_teachers_of_the_same_description_are_distinguished(store: LocalStore) -> None:
    wide = {"method": "supervised", "net.encoder.width": 24}
    both = {**KD, "method.teachers": (*KD["method.teachers"], Nested(wide, seed=7), Nested(wide, seed=8))}
    lines = printed(study(Row("both", both)), store).splitlines()
    names = [line.split("  ")[2].strip() for line in lines if " seed 7" in line or " seed 8" in line]
    label = cells(study(Row("both", both)))[0].experiment.data.split.labeled
    assert names == [
        f"supervised textures {label} seed 7, encoder.width 16",
        f"supervised textures {label} seed 7, encoder.width 24",
        f"supervised textures {label} seed 8",
    ]


def test_only_some_of_what_is_blocked_is_listed(store: LocalStore) -> None:
    of = study(Row("KD", KD), seeds=(*range(20),))
    plan = make_plan(cells(of), store, Places())
    records.add_failure(store, next(iter(plan.nodes)), {"error": "NotFinite: so"}, final=True)
    text = printed(of, store)
    assert text.count("blocked: needs") == 12 and "and 8 more blocked" in text


def test_a_plan_without_a_resolved_cell_says_so(store: LocalStore) -> None:
    nowhere = {"method": "supervised", "data.split.labeled": "nowhere.txt"}
    text = printed(study(Row("Supervised", nowhere), seeds=(0, 1)), store).splitlines()
    (line,) = (each for each in text if "resolved" in each)
    assert line.startswith("2 cells, none resolved here: ") and "nowhere.txt" in line
    assert not any("0 experiments" in each for each in text)
    several = printed(study(Row("a", nowhere), Row("b", {**nowhere, "data.split.labeled": "gone.txt"})), store)
    assert "2 cells, none resolved here:\n  1 cell unresolved here: " in several


def test_a_plan_of_which_all_is_blocked_has_nothing_to_run(store: LocalStore) -> None:
    of = study(Row("KD", KD))
    plan = make_plan(cells(of), store, Places())
    records.add_failure(store, next(iter(plan.nodes)), {"error": "NotFinite: so"}, final=True)
    assert make_plan(cells(of), store, Places()).to_run == []
    assert "runs in" not in printed(of, store)


def test_what_the_profile_only_quotes_is_named_and_what_is_blocked_has_a_line_for_each_thing_missing(
    store: LocalStore,
) -> None:
    rows = (Row("Supervised", {"method": "supervised"}), Row("theirs", paper="MT [31]", quoted=True))
    few, more, full, other = "1/16(92)", "1/8(183)", "Full(1464)", "R50 1/16(662)"
    tables = (
        Table(name="mkd.table1", rows=rows[:1], columns=(few, more, full)),
        Table(name="mkd.table2", rows=rows, columns=(other,)),
    )
    blocked_by = {more: "Cityscapes is not here", "mkd.table2/" + other: "COCO is not here"}
    profile = Profile(name="quick", note="drawn", start=quick, columns={few: {}}, blocked_by=blocked_by, seeds=(0, 1))
    text = printed(Study(name="s", title="S", tables=tables, profiles=(profile,)), store).splitlines()
    assert [line for line in text if "quoted" in line or "blocked" in line] == [
        "  2 cells blocked: Cityscapes is not here",
        "  2 cells blocked: COCO is not here",
        "  only quoted: mkd.table1 Full(1464): not trained in this profile",
    ]
    assert "2 to train" in "\n".join(text) and "quoted" not in printed(study(*rows[:1]), store)


def test_a_plan_names_what_continues_with_another_number_of_workers(store: LocalStore) -> None:
    of = study(Row("CPS", {"method": "cps"}), seeds=(0, 1, 2))
    begun, restarted, _ = (resolve(cell.experiment, Places()).key for cell in cells(of))
    for key in (begun, restarted):
        sessions = [{"from_step": 0, "ranks": 2}, {"from_step": 100, "ranks": 3}]
        store.write(key, records.SESSIONS, json.dumps({"sessions": sessions}).encode())
    checkpoints.save(store, begun, b"", step=100)
    gangs = Placement(gangs=1, workers=4)
    lines = [line for line in printed(of, store, gangs).splitlines() if "begun with" in line]
    assert lines == [f"  {begun}  begun with 2 workers, continues with 4: equal to rounding, recorded"]
    assert "continues with 1" in printed(of, store) and "begun with" not in printed(
        of, store, Placement(gangs=1, workers=2)
    )


@pytest.mark.parametrize("stored", [0, 2000])
def test_ten_thousand_cells_are_printed_in_seconds(tmp_path: Path, stored: int) -> None:
    store = LocalStore(tmp_path)
    document = json.dumps(resolve(small("mean_teacher"), Places()).document()).encode()
    for number in range(stored):
        folder = tmp_path / f"{number:016d}"
        folder.mkdir()
        (folder / records.EXPERIMENT).write_bytes(document)
    of = study(*(Row(f"w{n}", {"method": "cps", "method.weight": 0.01 * n}) for n in range(1000)), seeds=(*range(10),))
    plan = make_plan(cells(of), store, Places())
    began = time.process_time()
    print_plan(
        plan,
        of.profiles[0],
        store,
        placement=HERE,
        quoted=(),
        equal_rows=(),
        probed={},
        paper_profile=None,
        print_line=lambda text: None,
    )
    took = time.process_time() - began
    assert took < 3, f"{took:.1f} s"


def test_many_reasons_are_counted_after_the_first(store: LocalStore) -> None:
    rows = tuple(Row(f"w{n}", {"method": "cps", "data.split.labeled": f"missing{n}.txt"}) for n in range(5))
    text = printed(study(*rows), store)
    assert text.count("1 cell unresolved here: the list") == 3
    assert "2 more cells unresolved here for such reasons; python -m assay doctor names them all" in text

"""The experiments of MGD's studies: every value of the paper's profile with its source, teachers, and rows' parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from assay.nets.encoders import build_encoder
from assay.nets.flops import multiply_adds, parameters
from assay.nets.heads import build_head
from assay.presets import cityscapes, voc
from assay.study.cells import Cell, Selection, cells_of, profile_of
from assay.study.layouts import layout_of
from assay.study.paper import number, paper_number
from assay.study.tables import Study
from studies import mgd_ablation, mgd_benchmark

# path | value | source: the paper (section), the authors' code if the paper does not give it, ours if neither does.
PAPER = """
method.name | "mgd" | 3
method.teacher_mode | "eval" | 3.2: frozen
method.weight_pixel | 1.0 | Eq. 7
method.weight_image | 0.002 | 4.2
method.weight_region | 100.0 | 4.2
method.pixel_on | "both" | Eq. 7
method.image_on | "unlabeled" | Eq. 7
method.region_on | "unlabeled" | Eq. 7
method.image_teacher | "first" | Eq. 4: T_D
method.region_teacher | "last" | Eq. 6: T_W
method.image_reduction | "mean" | Eq. 4
method.regions | [7, 7] | table 6
method.cutmix | null | 3: none; the code has boxes
method.on_padding | false | ours
data.source.name | "voc" | 4.1
data.source.masks | "aug" | 4.1
data.split.labeled | "cps/voc/train_aug_labeled_1-8.txt" | 4.1: CPS's lists
data.split.unlabeled | "rest" | 4.1
data.split.labeled_pool | "train_aug" | 4.1
data.split.seed | 0 | not used with a list
data.split.keep_repeated | false | ours
data.sampling | null | code: all images in turn
net.encoder.arch | "resnet18" | 4.2
net.encoder.output_stride | 16 | code, and the FLOPs of table 1
net.encoder.stem | "deep" | code, and the FLOPs of table 1
net.encoder.stem_width | 32 | code, and the FLOPs of table 1
net.encoder.multi_grid | [1, 2] | code: dilations 2, 4
net.encoder.width | 16 | not used by ResNets
net.encoder.weights | "imagenet" | 4.2
net.head.name | "deeplabv3plus" | 4.2
net.head.channels | 256 | code
net.head.low_level_channels | 48 | code
net.head.atrous_rates | [6, 12, 18] | code
net.head.separable | false | code: heads of 16.84 and 5.43 million parameters
net.head.projection | 1 | code: heads of 16.84 and 5.43 million parameters
net.head.dropout | 0.0 | code
net.head.classifier_std | null | ours: torch's; the code's heads start from kaiming's normal distribution
net.head.classifier_bias | true | code
net.head.plain_projections | false | code
net.head.align_corners | false | ours; the code aligns them
net.batch_norm.momentum | 0.1 | ours: torch's
net.batch_norm.eps | null | ours: torch's
net.batch_norm.frozen | false | ours
recipe.steps | 39338 | code: 34 epochs of 1157
recipe.labeled_batch | 8 | code
recipe.unlabeled_batch | 8 | code
recipe.accumulate | 1 | code
recipe.optimizer.name | "sgd" | 4.2
recipe.optimizer.lr | 0.0025 | code
recipe.optimizer.head_lr | null | code: no multiplier
recipe.optimizer.momentum | 0.9 | 4.2
recipe.optimizer.nesterov | false | ours
recipe.optimizer.weight_decay | 0.0005 | 4.2
recipe.optimizer.decay_norm_and_bias | false | code
recipe.schedule.power | 0.9 | code
recipe.schedule.warmup_steps | 0 | code
recipe.schedule.restart | null | code
recipe.ohem | null | code: plain cross entropy on VOC
recipe.augment.crop | [512, 512] | table 1
recipe.augment.fit | null | code
recipe.augment.scales | [0.5, 0.75, 1.0, 1.5, 1.75, 2.0] | code
recipe.augment.scale_draw | "list" | code
recipe.augment.flip | 0.5 | code
recipe.augment.distort | null | code: none
recipe.evaluation.every | 2000 | ours; the number shown is the last step's
recipe.evaluation.mode | "sliding" | code
recipe.evaluation.fit | null | code: images at their own size
recipe.evaluation.window | [512, 512] | code
recipe.evaluation.stride_share | 0.6666666666666666 | code
recipe.evaluation.scales | [1.0] | code
recipe.evaluation.flip | false | code
recipe.evaluation.windows | "padded" | ours
recipe.evaluation.average | "probabilities" | ours
recipe.precision | "float32" | ours
start | null | ours: none
"""
ABLATION = mgd_ablation.STUDY
FULL = "Sup + P + I(TD) + R(TW)"
TABLE2 = mgd_benchmark.TABLE2.columns


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, content in value.items():
            yield from leaves(content, f"{path}.{name}" if path else name)
    else:
        yield path, value


def cells(study: Study, profile: str, *, seeds: tuple[int, ...] = (0,), **choice: Any) -> list[Cell]:
    return cells_of(study, profile_of(study, profile), Selection(seeds=seeds, **choice))


def row(study: Study, profile: str, table: str, label: str, column: str, seed: int = 0) -> Cell:
    (cell,) = cells(study, profile, seeds=(seed,), tables=(table,), rows=(label,), columns=(column,))
    return cell


def methods(profile: str, table: str, column: str) -> dict[str, Any]:
    return {cell.row: cell.experiment.method for cell in cells(ABLATION, profile, tables=(table,), columns=(column,))}


def test_every_value_of_the_papers_profile_has_a_source() -> None:
    student = row(ABLATION, "paper", "mgd.table4", "T_D + T_W", "VOC").experiment.to_json()
    listed = dict(line.split(" | ")[:2] for line in PAPER.strip().splitlines())
    strong = "recipe.augment.strong."  # these methods have no strong views
    skipped = ("name", "seed", "method.teachers")
    values = {path: value for path, value in leaves(student) if path not in skipped and not path.startswith(strong)}
    assert values == {path: json.loads(value) for path, value in listed.items()}


# The values of a teacher that differ from its student's.
TEACHER = {
    "method.name": "cps",
    "method.weight": 1.0,
    "method.on_labeled": False,
    "method.cutmix.name": "boxes",
    "method.cutmix.num_boxes": 3,
    "method.cutmix.area": [0.25, 0.5],
    "method.cutmix.rule": "toggle",
    "net.encoder.multi_grid": [1, 2, 4],
}
DEEP = {**TEACHER, "net.encoder.arch": "resnet101", "net.encoder.stem_width": 64}
WIDE = {
    **TEACHER,
    "net.encoder.arch": "wide_resnet50_2",
    "net.encoder.stem": "plain",
    "recipe.optimizer.lr": 0.001,
}


def test_the_papers_teachers_are_cps_with_cutmix_and_otherwise_equal_to_the_student() -> None:
    student = row(ABLATION, "paper", "mgd.table4", "T_D + T_W", "VOC").experiment
    of_student = dict(leaves(student.to_json()))
    differences = [
        {path: value for path, value in leaves(teacher.to_json()) if (path, value) not in of_student.items()}
        for teacher in student.method.teachers  # type: ignore[attr-defined]
    ]
    assert differences == [DEEP, WIDE]


def test_the_papers_deep_teacher_has_the_network_of_the_preset_with_the_cps_authors_settings() -> None:
    student: Any = row(ABLATION, "paper", "mgd.table4", "T_D + T_W", "VOC").experiment
    _, net, _ = voc()
    assert student.method.teachers[0].net == net.replace(encoder=net.encoder.replace(arch="resnet101"))
    with torch.device("meta"):
        head = build_head(net.head, (256, 2048), 21)
    assert round(parameters(head) / 1e6, 2) == 16.84  # counted of the authors' code


def test_the_papers_deep_teacher_on_cityscapes_has_the_preset_with_the_papers_weight_decay() -> None:
    student: Any = row(ABLATION, "paper", "mgd.table4", "T_D + T_W", "Cityscapes").experiment
    teacher, (data, net, recipe) = student.method.teachers[0], cityscapes()
    assert teacher.net == net.replace(encoder=net.encoder.replace(arch="resnet101"))
    assert teacher.recipe == recipe.replace(optimizer=recipe.optimizer.replace(weight_decay=5e-4))
    assert teacher.data.source == data.source


TABLE5A = {  # L_P, L_I and L_R on or off; the teachers of L_I and L_R
    "Sup + P": (True, False, False, "first", "last"),
    "Sup + P + I(TD)": (True, True, False, "first", "last"),
    "Sup + P + R(TW)": (True, False, True, "first", "last"),
    "Sup + P + I(TD) + R(TW)": (True, True, True, "first", "last"),
    "Sup + P + I(TD,TW) + R(TD,TW)": (True, True, True, "all", "all"),
}


@pytest.mark.parametrize("profile", ["quick", "quick-tied", "paper", "paper-tied", "code"])
def test_each_row_of_table_5a_has_the_losses_in_its_label(profile: str) -> None:
    by_row = methods(profile, "mgd.table5a", "VOC")
    assert by_row.pop("Sup").name == "supervised"
    assert {
        label: (
            method.weight_pixel > 0,
            method.weight_image > 0,
            method.weight_region > 0,
            method.image_teacher,
            method.region_teacher,
        )
        for label, method in by_row.items()
    } == TABLE5A
    assert all(method.pixel_on == "both" and len(method.teachers) == 2 for method in by_row.values())


def test_the_other_tables_change_one_part_of_table_5as_full_row() -> None:
    full = methods("quick", "mgd.table5a", "VOC")[FULL]
    assert methods("quick", "mgd.table5b", "VOC") == {
        "labelled distillation only": full.replace(weight_image=0.0, weight_region=0.0, pixel_on="labeled"),
        "labelled + unlabelled distillation": full,
    }
    sizes = methods("quick", "mgd.table6", "mIoU")
    assert sizes == {f"{n}x{n}": full.replace(regions=(n, n)) for n in (3, 5, 7, 9, 11)}
    four = methods("quick", "mgd.table4", "VOC")
    deep, wide = full.teachers
    twins = (deep.replace(seed=1000), wide.replace(seed=1000))
    assert {label: method.teachers for label, method in four.items()} == {
        "T_D": (deep,),
        "T_W": (wide,),
        "T_D + T_D": (deep, twins[0]),
        "T_W + T_W": (wide, twins[1]),
        "T_D + T_W": (deep, wide),
    }
    assert all(method.replace(teachers=full.teachers) == full for method in four.values())


def test_teachers_have_a_fixed_seed_or_the_students_and_the_notes_name_it() -> None:
    def seeds(profile: str, seed: int) -> list[int]:
        cell = row(ABLATION, profile, "mgd.table4", "T_D + T_D", "VOC", seed)
        return [teacher.seed for teacher in cell.experiment.method.teachers]  # type: ignore[attr-defined]

    assert [seeds("quick", seed) for seed in (0, 3)] == [[0, 1000], [0, 1000]]
    assert [seeds("quick-tied", seed) for seed in (0, 3)] == [[0, 1000], [3, 1003]]
    notes = {
        profile.name: layout_of(ABLATION, profile).tables[0].notes
        for profile in ABLATION.profiles
        if profile.name.startswith("quick")
    }
    assert "(teachers) have seed 0, 1000 in all cells" in notes["quick"][0]
    assert "(teachers) have the seed of their cell" in notes["quick-tied"][0]


def test_the_two_columns_are_two_drawn_data_sets_in_quick() -> None:
    columns = ("VOC", "Cityscapes")
    planned = cells(ABLATION, "quick", tables=("mgd.table4",), rows=("T_D",), columns=columns)
    data = [cell.experiment.data for cell in planned]
    assert [(of.source.world, of.split.labeled) for of in data] == [(0, "1/8"), (1, "1/8")]  # type: ignore[attr-defined]
    assert [cell.experiment.method.teachers[0].data for cell in planned] == data  # type: ignore[attr-defined]


# Differences of Cityscapes from VOC: path | value | source.
ON_CITYSCAPES = """
data.source.name | "cityscapes" | 4.1
data.source.train_extra_masks | "none" | not used: its pool is not
data.source.resize | null | code: images of 2048 x 1024
data.split.labeled | "cps/cityscapes/train_aug_labeled_1-8.txt" | 4.1: CPS's lists
data.split.labeled_pool | "train" | 4.1
recipe.ohem.name | "ohem" | code
recipe.ohem.threshold | 0.7 | code
recipe.augment.crop | [800, 800] | table 3
recipe.evaluation.window | [800, 800] | code
"""
# The rate is VOC's: the code's 0.02 acts as 0.02 / 8 on its 8 GPUs, and 0.0025 · 4 on VOC as 0.0025 on 4.
STUDENT_THERE = (
    ON_CITYSCAPES
    + """
recipe.steps | 22194 | code: 137 epochs of 2604 // 16 = 162
recipe.labeled_batch | 16 | code
recipe.unlabeled_batch | 16 | code
recipe.ohem.min_kept | 800000 | code: 50,000 for each of the 16 images
"""
)
TEACHER_THERE = (
    ON_CITYSCAPES
    + """
method.weight | 5.0 | code
recipe.steps | 44525 | code: 137 epochs of 2604 // 8 = 325
recipe.ohem.min_kept | 400000 | code: 50,000 for each of the 8 images
"""
)
# In the code T_W's rate is T_D's here, and a fifth of 0.0025 · 2 on VOC.
WIDE_THERE = TEACHER_THERE + "recipe.optimizer.lr | 0.0025 | code: 0.02 on 8 GPUs"
LOSSES_THERE = "method.weight_image | 0.000125 | code: 0.001 on each of 8 GPUs"


@pytest.mark.parametrize("profile", ["paper", "paper-tied", "code"])
@pytest.mark.parametrize(
    ("table", "label", "column"), [("mgd.table4", "T_D + T_W", "Cityscapes"), ("mgd.table5a", FULL, "City")]
)
def test_every_value_in_which_cityscapes_differs_from_voc_has_a_source(
    profile: str, table: str, label: str, column: str
) -> None:
    on_voc, there = (row(ABLATION, profile, table, label, place).experiment for place in ("VOC", column))
    sources = (STUDENT_THERE + (LOSSES_THERE if profile == "code" else ""), TEACHER_THERE, WIDE_THERE)
    pairs = zip(experiments_in(on_voc), experiments_in(there), sources, strict=True)
    for before, after, text in pairs:
        values = {path: value for path, value in leaves(before.to_json()) if path != "method.teachers"}
        listed = dict(line.split(" | ")[:2] for line in text.split("\n") if line)
        changed = {
            path: value
            for path, value in leaves(after.to_json())
            if path != "method.teachers" and (path not in values or values[path] != value)
        }
        assert changed == {path: json.loads(value) for path, value in listed.items()}


def experiments_in(student: Any) -> list[Any]:
    """Return an experiment and its teachers."""
    return [student, *student.method.teachers]


def test_the_steps_on_cityscapes_are_the_codes_epochs() -> None:
    # 128, 137, 160 and 240 epochs of the larger of 2975 // n and 2975 - 2975 // n, in batches of 16 or 8.
    steps = {"1/16": (128 * 174, 128 * 348), "1/8": (137 * 162, 137 * 325), "1/4": (160 * 139, 160 * 279)}
    steps["1/2"] = (240 * 93, 240 * 186)
    for column in mgd_benchmark.TABLE3.columns:
        student = row(mgd_benchmark.STUDY, "paper", "mgd.table3", "MGD, MobileNetv2", column).experiment
        trained = [each.recipe.steps for each in experiments_in(student)]
        of_student, of_teachers = steps[column.partition("(")[0]]
        assert trained == [of_student, of_teachers, of_teachers]


def test_mobilenetv2_has_resnet18s_recipe_and_losses_on_cityscapes() -> None:
    for profile in ("paper", "code"):
        first, second = (
            row(mgd_benchmark.STUDY, profile, "mgd.table3", f"MGD, {network}", "1/16(186)").experiment
            for network in ("ResNet-18", "MobileNetv2")
        )
        assert (first.recipe, first.method) == (second.recipe, second.method)
        assert second.net.encoder.arch == "mobilenetv2_100" and second.net.encoder.output_stride == 32


def test_the_codes_profile_differs_from_the_papers_as_the_code_does() -> None:
    printed, code = (methods(profile, "mgd.table5a", "VOC")[FULL] for profile in ("paper", "code"))
    assert code.cutmix is not None
    assert code.replace(cutmix=None) == printed.replace(
        image_reduction="sum",
        weight_image=0.002 / 4,
        on_padding=True,
        teacher_mode="train",
        teachers=tuple(each.replace(method=each.method.replace(on_padding=True)) for each in printed.teachers),
    )


@pytest.mark.parametrize(("profile", "on_padding"), [("paper", False), ("code", True)])
def test_cps_mean_teacher_and_mgd_train_on_padding_in_the_codes_profile_alone(profile: str, on_padding: bool) -> None:
    planned = cells(mgd_benchmark.STUDY, profile, tables=("mgd.table1",), columns=("1/16(662)",))
    experiments: list[Any] = [cell.experiment for cell in planned]
    experiments += [teacher for of in experiments for teacher in getattr(of.method, "teachers", ())]
    trained = {of.method.name: of.method.on_padding for of in experiments if of.method.name != "supervised"}
    assert trained == {"cps": on_padding, "mean_teacher": on_padding, "mgd": on_padding, "kd": False, "cwd": False}


def test_rows_of_mgd_that_are_not_comparable_have_a_reason_that_is_true() -> None:
    planned = [cell for cell in cells(mgd_benchmark.STUDY, "paper") if cell.not_comparable]
    reasons = {(cell.table, cell.row): cell.not_comparable for cell in planned}
    light = [f"{name}, {network}" for network in ("ResNet-18", "MobileNetv2") for name in ("KD", "CWD")]
    assert set(reasons) == {
        *((table, label) for table in ("mgd.table1", "mgd.table3") for label in light),
        ("mgd.table2", "CPS, ResNet-101"),
        ("mgd.table3", "CPS, ResNet-101 (T_D)"),
    }
    for cell in planned:
        method: Any = cell.experiment.method
        if method.name in ("kd", "cwd"):
            assert method.on_unlabeled and len(method.teachers) == 2
            assert f"T = {method.temperature:g} and weight {method.weight:g}" in cell.not_comparable
    assert [number("mgd.table2", "CPS [7] / ResNet-101", column) for column in TABLE2] == [
        number("mkd.table1", "CPS-R101 [5]", column) for column in TABLE2
    ]
    for column in ("1/16(186)", "1/8(372)"):
        assert column in reasons["mgd.table3", "CPS, ResNet-101 (T_D)"]
        of_cps = number("mkd.table2", "CPS w/ CutMix [5]", f"R101 {column}")
        assert number("mgd.table3", "CPS [7] / ResNet-101 (T_D)", column) == of_cps


def test_the_notes_of_the_papers_networks_say_which_snapshot_is_scored() -> None:
    for study in (ABLATION, mgd_benchmark.STUDY):
        for name in ("paper", "code"):
            assert "the last step's, where the authors' code scores its last 15 to 20" in profile_of(study, name).note


@pytest.mark.parametrize("study", [ABLATION, mgd_benchmark.STUDY], ids=lambda study: study.name)
def test_every_number_of_the_papers_tables_is_shown(study: Study) -> None:
    from assay.study import paper

    for table in study.tables:
        shown = {
            (str(row.paper), column)
            for row in table.rows
            for column in table.columns
            if paper_number(table, row, column) is not None
        }
        printed = {(row["label"], column) for row in paper.table(table.paper)["rows"] for column in row["values"]}
        assert printed == shown, table.name


def test_the_drawn_teachers_have_the_papers_ratios_of_parameters_to_their_student() -> None:
    student = row(ABLATION, "quick", "mgd.table5a", FULL, "VOC").experiment
    of_student, *of_teachers = (
        parameters(build_encoder(experiment.net.encoder))
        for experiment in (student, *student.method.teachers)  # type: ignore[attr-defined]
    )
    ratios = [of_teacher / of_student for of_teacher in of_teachers]
    assert ratios == [pytest.approx(3.81, rel=0.05), pytest.approx(5.97, rel=0.05)]


def test_the_benchmarks_full_row_is_the_ablations_full_row() -> None:
    for profile in ("paper", "code"):
        for table, column, there in (("mgd.table1", "1/8(1323)", "VOC"), ("mgd.table3", "1/8(372)", "City")):
            ours = row(mgd_benchmark.STUDY, profile, table, "MGD, ResNet-18", column).experiment
            assert ours == row(ABLATION, profile, "mgd.table5a", FULL, there).experiment


@pytest.mark.parametrize("profile", ["paper", "code"])
@pytest.mark.parametrize(("table", "column"), [("mgd.table1", "1/16(662)"), ("mgd.table3", "1/4(744)")])
def test_every_row_of_tables_1_and_3_has_its_method_its_network_and_the_tables_two_teachers(
    profile: str, table: str, column: str
) -> None:
    planned = cells(mgd_benchmark.STUDY, profile, tables=(table,), columns=(column,))
    by_row = {cell.row: cell.experiment for cell in planned}
    deep, wide = (by_row[f"CPS, {name}"] for name in ("ResNet-101 (T_D)", "Wide ResNet-34 (T_W)"))
    archs = {"ResNet-18": "resnet18", "MobileNetv2": "mobilenetv2_100"}
    names = {"Sup. l": "supervised", "MT": "mean_teacher", "CPS": "cps", "KD": "kd", "CWD": "cwd", "MGD": "mgd"}
    for network, arch in archs.items():
        for label, name in names.items():
            experiment: Any = by_row[f"{label}, {network}"]
            assert (experiment.method.name, experiment.net.encoder.arch) == (name, arch)
            assert getattr(experiment.method, "teachers", (deep, wide)) == (deep, wide)
    assert len(by_row) == 14


@pytest.mark.parametrize(("table", "column"), [("mgd.table1", "1/16(662)"), ("mgd.table3", "1/16(186)")])
def test_the_encoders_of_the_papers_profile_have_the_printed_sizes(table: str, column: str) -> None:
    profile = profile_of(mgd_benchmark.STUDY, "paper")
    (layout,) = (each for each in layout_of(mgd_benchmark.STUDY, profile).tables if each.name == table)
    printed = {row.label: row.counted for row in layout.rows}
    assert layout.count_flops_of == "encoder" and len(printed) == 14 and None not in printed.values()
    sizes: dict[Any, tuple[int, int]] = {}
    for cell in cells(mgd_benchmark.STUDY, "paper", tables=(table,), columns=(column,)):
        spec, (height, width) = cell.experiment.net.encoder, cell.experiment.recipe.augment.crop
        if spec not in sizes:
            with torch.device("meta"):
                encoder = build_encoder(spec)
            sizes[spec] = (parameters(encoder), multiply_adds(encoder, height, width))
        size: Any = printed[cell.row]
        assert size.crop == f"{height}x{width}"
        assert sizes[spec] == (pytest.approx(size.params, abs=2e4), pytest.approx(size.macs, rel=0.01))
    assert len(sizes) == 4


def test_table_2s_labels_are_pseudosegs_and_its_unlabelled_images_the_rest_of_the_1464() -> None:
    split = row(mgd_benchmark.STUDY, "paper", "mgd.table2", "MGD, ResNet-18", "1/8(183)").experiment.data.split
    assert (split.labeled, split.labeled_pool) == ("cps/voc/pseudoseg_labeled_1-8.txt", "train")


def test_the_codes_mobilenet_has_other_loss_weights() -> None:
    method: Any = row(mgd_benchmark.STUDY, "code", "mgd.table1", "MGD, MobileNetv2", "1/16(662)").experiment.method
    assert (method.weight_image, method.weight_region) == (0.0005 / 4, 50.0)


def test_all_four_tables_need_four_teachers_for_each_data_set() -> None:
    teachers: set[Any] = set()
    for cell in cells(ABLATION, "quick", seeds=(0, 1, 2), tables=tuple(table.name for table in ABLATION.tables)):
        teachers |= set(getattr(cell.experiment.method, "teachers", ()))
    assert len(teachers) == 4

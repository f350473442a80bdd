"""The doctor's view of a machine: what is here, what is missing, and what each study of a checkout needs."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from trees import CITYSCAPES, write_cityscapes, write_voc

from assay.commands import run
from assay.commands.data_report import report as data_report
from assay.commands.doctor import PACKAGES
from assay.commands.study_needs import MissingInputs, Need, describe, needs_of, read_studies
from assay.data import published
from assay.data.sources import Cityscapes
from assay.nets.lite import INSTALL, PACKAGED
from assay.nets.weights import PRETRAINED
from assay.places import Places

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import sys
from assay.presets import quick, voc
from assay.study import Profile, Row, Study, Table
TABLE = Table(name="mkd.mine", columns=("first", "second"), rows=(Row("Supervised", {"method": "supervised"}),))
LISTS = {"first": {"data.split.labeled": "cps/voc/train.txt"}, "second": {"data.split.labeled": "mine/few:5"}}
STUDY = Study(
    name="mine",
    title="Mine",
    tables=(TABLE,),
    profiles=(
        Profile(name="quick", note="", start=quick, columns={"first": {}, "second": {}}),
        Profile(name="half", note="", start=quick, columns={"first": {}}, blocked_by={"second": "no such data"}),
        Profile(name="paper", note="", start=voc, columns=LISTS, seeds=(0,)),
    ),
)
if __name__ == "__main__":
    sys.exit("executed as a program")
"""


@pytest.fixture(autouse=True)
def no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the weights that other programs downloaded out."""
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging_face"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Return flags that name three missing folders."""
    names = ("data-root", "splits", "weights")
    return [part for name in names for part in (f"--{name}", str(tmp_path / name))]


def report(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the doctor's lines."""
    capsys.readouterr()
    assert run(["doctor", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_each_folder_that_is_missing_as_a_whole_is_one_line(
    tmp_path: Path, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = report(folders, capsys)
    titles = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert titles == ["machine", "packages", "data", "lists", "weights", "studies"]
    assert (
        "  ok       textures: train 640, val 240" in lines
        and "  missing  camvid, voc, cityscapes, coco, ade20k" in lines
    )
    for title, name in (("data", "data-root"), ("weights", "weights")):
        (line,) = (line for line in lines if line.startswith(title))
        assert f"in {tmp_path / name}, which does not exist; create it" in line and f"--{name}" in line
    assert f"lists      0 own lists in {tmp_path / 'splits'} (--splits or ASSAY_SPLITS)" in lines
    for origin in published.origins():
        assert (
            f"  ok       {origin.folder}: {len(published.lists_of(origin.folder))} lists, part of this package" in lines
        )
    (weights,) = (line for line in lines if "NAME.safetensors" in line)
    assert all(name in weights for name in PRETRAINED.values() if name not in PACKAGED)
    for name in PACKAGED:  # there where the extra is installed, else with the cure
        assert any(name in line and (INSTALL in line or line.startswith("  ok")) for line in lines)
    assert lines[-1].startswith("studies    none: there is no folder studies here")


def test_what_is_here_is_found_and_what_is_missing_of_a_folder_is_named(
    tmp_path: Path, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "splits" / "mine").mkdir(parents=True)
    (tmp_path / "splits" / "mine" / "few.txt").write_text("an image\n")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "resnet50.tv_in1k.pth").write_bytes(b"")
    lines = report(folders, capsys)
    assert f"lists      1 own list in {tmp_path / 'splits'} (--splits or ASSAY_SPLITS)" in lines
    assert f"  ok       resnet50.tv_in1k: {tmp_path / 'weights' / 'resnet50.tv_in1k.pth'}" in lines


def test_the_studies_in_the_working_folder_are_read_and_not_run(
    tmp_path: Path, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.py").write_text(SCRIPT)
    (tmp_path / "studies" / "broken.py").write_text("import no_such_module\nSTUDY = 1\n")
    (tmp_path / "studies" / "other.py").write_text("raise SystemExit('no study, and not executed')\n")
    monkeypatch.chdir(tmp_path)
    lines = report(folders, capsys)
    needs = "needs data voc, lists mine/few:5, weights resnet50s.gluon_in1k"
    assert lines[lines.index(f"studies    in {tmp_path / 'studies'}, by profile") + 1 :] == [
        "  broken.py cannot be read (ModuleNotFoundError: No module named 'no_such_module')",
        "  mine, quick: ready",
        "  mine, half: 3 of 6 cells ready; blocked: no such data",
        f"  mine, paper: 0 of 2 cells ready; {needs}",
    ]


def test_the_lists_that_do_not_fit_incomplete_data_are_one_sentence_for_a_data_set(
    tmp_path: Path, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_voc(tmp_path / "data-root")
    (tmp_path / "splits").mkdir()
    with (tmp_path / "splits" / "permutation.pkl").open("wb") as file:
        pickle.dump(list(range(10582)), file)
    (tmp_path / "studies").mkdir()
    lists = ("cps/voc/train.txt", "permutation.pkl:100", "unimatch/pascal/92/labeled.txt")
    script = SCRIPT.replace(
        'LISTS = {"first"', f'LISTS = {{str(n): {{"data.split.labeled": n}} for n in {lists}}} | {{"first"'
    )
    script = script.replace('("first", "second")', f'("first", "second", *{lists})')
    (tmp_path / "studies" / "mine.py").write_text(script)
    monkeypatch.chdir(tmp_path)
    paper = report(folders, capsys)[-1]
    assert paper.startswith("  mine, paper: 0 of 5 cells ready; needs lists mine/few:5, weights ")
    assert paper.endswith("; 3 lists name images that voc (19 images) does not have")


def test_one_list_names_and_two_lists_name_images_that_are_missing() -> None:
    needs = [
        Need("images", name, data)
        for name, data in (("a", "voc (2 images)"), ("b", "voc (2 images)"), ("c", "coco (1 image)"))
    ]
    assert describe(needs) == (
        "1 list names images that coco (1 image) does not have; 2 lists name images that voc (2 images) does not have"
    )


@pytest.mark.parametrize(
    ("missing", "status", "numbers"),
    [
        (None, "ok", "train 8, val 3, train_extra 3 in ROOT"),
        ("train_extra", "ok", "train 8, val 3 in ROOT (train_extra is not here)"),
        ("val", "partial", "train 8, train_extra 3 in ROOT; Cityscapes val: no images"),
    ],
)
def test_cityscapes_without_train_extra_is_complete(
    missing: str | None, status: str, numbers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_cityscapes(tmp_path)
    if missing:
        shutil.rmtree(root / "leftImg8bit" / missing)
    official = {pool: len(ids) for pool, ids in CITYSCAPES.items()}
    monkeypatch.setattr(Cityscapes, "sizes", official)  # the tree's numbers in place of the owner's
    data = data_report(Cityscapes(), Places(data=tmp_path))
    assert data.status == status
    assert data.describe().startswith(f"cityscapes: {numbers.replace('ROOT', str(root))}")


def test_every_study_of_this_checkout_can_be_read_and_its_quick_profile_needs_no_file(places: Places) -> None:
    studies = dict(read_studies(ROOT / "studies"))
    assert len(studies) >= 5 and not [study for study in studies.values() if isinstance(study, Exception)]
    for study in studies.values():
        (quick,) = (needs for needs in needs_of(study, MissingInputs(places)) if needs.profile == "quick")
        assert not {need.kind for need in quick.needs} & {"data", "list", "weights"}


def test_many_lists_of_one_folder_are_counted() -> None:
    needs = [Need("list", f"a/b/{number}.txt") for number in range(3)] + [Need("list", "c.txt"), Need("data", "voc")]
    assert describe(needs) == "needs data voc, lists a/b (3), c.txt"


def test_all_reasons_of_blocked_cells_follow_one_word() -> None:
    assert describe([Need("other", "B"), Need("other", "A"), Need("data", "voc")]) == "needs data voc; blocked: A, B"


def test_the_packages_are_those_that_the_project_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.split(r"[\[<>=]", text)[0] for text in project["dependencies"]} == set(PACKAGES)


def test_the_machine_is_described_without_importing_torch(tmp_path: Path) -> None:
    program = f"import sys; sys.path[:0] = {sys.path!r}\nfrom assay.commands import run\nrun(['doctor'])\n"
    program += "print(sorted({'torch', 'timm', 'ray', 'pandas'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"

"""A study of seconds, run by tests as a user runs a study: two rows that share a teacher, and two that do not."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT), str(ROOT / "tests")]

from small_values import SMALL  # noqa: E402

from assay.data.sources import Folder  # noqa: E402
from assay.data.splits import Split  # noqa: E402
from assay.experiment import Data  # noqa: E402
from assay.presets import Preset, quick  # noqa: E402
from assay.run import run_study  # noqa: E402
from assay.study import Nested, Profile, Row, Study, Table  # noqa: E402

LENGTH = {"recipe.steps": 40, "recipe.evaluation.every": 20}
KD = {"method": "kd", "method.teachers": (Nested({"method": "supervised"}, seed=7),)}

TABLE = Table(
    name="mkd.table1",
    columns=("1/16(92)", "1/8(183)"),
    rows=(
        Row("Supervised", {"method": "supervised"}, paper="SupOnly-R101"),
        Row("CPS", {"method": "cps"}, paper="CPS-R101 [5]"),
        Row("KD", KD),
        Row("KD, T = 4", {**KD, "method.temperature": 4.0}),
    ),
    reference="Supervised",
)


def in_a_folder() -> Preset:
    """Files, which not every machine sees."""
    _, net, recipe = quick()
    return Data(source=Folder(path="mine"), split=Split(labeled="1/2")), net, recipe


STUDY = Study(
    name="tiny",
    title="A study of seconds",
    tables=(TABLE,),
    profiles=(
        Profile(
            name="quick",
            note="drawn textures of 16 x 16",
            start=quick,
            changes=SMALL | LENGTH,
            columns={"1/16(92)": {"data.split.labeled": "1/4"}},
            seeds=(0, 1),
            not_comparable="trained on drawn textures",
            runtime={"checkpoint_every": 10, "log_every": 5},
        ),
        Profile(
            name="folder",
            note="two of its columns name files",
            start=in_a_folder,
            changes={path: value for path, value in SMALL.items() if not path.startswith("data.")} | LENGTH,
            columns={"1/16(92)": {}, "1/8(183)": {"data.split.labeled": "nowhere.txt"}},
            seeds=(0,),
            not_comparable="trained on images of one colour",
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))

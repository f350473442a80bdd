"""The wheel holds every package, and a checkout works without installation."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).parent.parent
INCLUDE = ["assay*", "methods*", "studies*"]


def test_the_wheel_holds_every_folder_with_code() -> None:
    packages = {name for folder in (ROOT / "platform", ROOT) for name in find_packages(str(folder), include=INCLUDE)}
    for base, top in ((ROOT / "platform", "assay"), (ROOT, "methods"), (ROOT, "studies")):
        for folder in {path.parent for path in (base / top).rglob("*.py")}:
            assert ".".join(folder.relative_to(base).parts) in packages


def test_the_wheel_holds_every_data_file_of_the_package() -> None:
    package = ROOT / "platform" / "assay"
    listed = subprocess.run(["git", "ls-files", "."], cwd=package, capture_output=True, text=True, check=True)
    tracked = {name for name in listed.stdout.splitlines() if not name.endswith(".py")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["assay"]
    included = {path.relative_to(package).as_posix() for pattern in patterns for path in package.glob(pattern)}
    assert tracked and tracked <= included


def test_a_checkout_trains_without_installation(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "assay", "train", "--method", "supervised", "--out", str(tmp_path / "out")]
    sizes = ["--set", "recipe.steps=2", "--set", "data.source.num_train=32", "--set", "data.source.num_val=4"]
    process = subprocess.run(
        [*command, *sizes],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}", "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "mIoU" in process.stdout


def test_no_file_contains_the_address_of_a_registry_or_a_home_directory() -> None:
    hosts = ("py" + "pi.org", "python" + "hosted", "/" + "root/", "/" + "home/")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        text = (ROOT / name).read_text(encoding="utf-8", errors="ignore") if (ROOT / name).is_file() else ""
        assert not [host for host in hosts if host in text], name

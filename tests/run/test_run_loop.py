"""The end of a run: the commands that continue it and that train more seeds."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from assay.run.run_loop import command_with_seeds, continue_command


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["s.py", "--out", "a folder [1]", "--columns", "1/16(92)"], None),
        (["s.py", "--force-row", "CPS", "KD, T = 4", "--gangs", "0"], ["s.py", "--gangs", "0"]),
        (["s.py", "--force-row=CPS", "--gangs", "0"], ["s.py", "--gangs", "0"]),
        (["s.py", "--set", "method.teachers=it's"], None),
    ],
)
def test_the_command_can_be_pasted_and_forgets_no_row_again(argv: list[str], kept: list[str] | None) -> None:
    assert shlex.split(continue_command(argv)) == ["python", *(kept or argv)]


@pytest.mark.parametrize("seeds", [[0, 1, 2], [3, 4, 9], list(range(5, 31)), [0, *range(2, 15)]])
@pytest.mark.parametrize(
    "argv",
    [
        ["s.py"],
        ["s.py", "--seeds", "0", "1", "--columns", "1/16(92)"],
        ["s.py", "--set", "method.teachers=it's", "--force-row", "CPS", "KD, T = 4", "--seeds=7"],
    ],
)
def test_a_shell_reads_the_command_with_other_seeds(argv: list[str], seeds: list[int]) -> None:
    command = command_with_seeds(argv, seeds)
    shell = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    others = {1: [], 6: ["--columns", "1/16(92)"], 7: ["--set", "method.teachers=it's"]}[len(argv)]
    words = shell.stdout.splitlines()
    assert words == ["python", "s.py", *others, "--seeds", *map(str, seeds)]

"""The end of a run: the command that continues it."""

from __future__ import annotations

import shlex

import pytest

from assay.run.run_loop import continue_command


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

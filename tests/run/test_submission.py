"""The checkout that is sent along when a script submits itself as a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.cluster import jobs
from assay.run.submission import submit_this

ADDRESS = "http://head:8265"


@pytest.mark.parametrize("script", ["studies/mine.py", "studies/benchmarks/mine.py", "studies/mine/deep/er.py"])
def test_a_script_is_submitted_from_its_checkout_whatever_the_depth_of_its_folder(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / script
    path.parent.mkdir(parents=True)
    path.write_text("")
    commands: list[str] = []

    def submit(address: str, argv: list[str], *, root: Path, **_: object) -> int:
        commands.append(jobs.entrypoint(argv, root))
        assert (address, root) == (ADDRESS, tmp_path.resolve())
        return 0

    monkeypatch.setattr(jobs, "submit", submit)
    monkeypatch.setattr("sys.argv", [str(path), "--address", ADDRESS, "--plan"])
    assert submit_this(ADDRESS) == 0
    assert commands == [f"python {script} --plan"]

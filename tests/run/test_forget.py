"""--force-row: forgotten whole or not at all, and never while somebody trains it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_study import STUDY

from assay.errors import UserError
from assay.run import run_study
from assay.run.forget import _delete, forget
from assay.store import checkpoints, records
from assay.store.claims import acquire
from assay.store.local import LocalStore

KEYS = ("a" * 16, "b" * 16)


@pytest.fixture
def finished(store: LocalStore) -> LocalStore:
    """A store with two finished experiments, as trainings leave them."""
    for key in KEYS:
        acquire(store, key).release()
        for name in (records.METRICS, "weights.pt", records.PANEL):
            store.write(key, name, b"")
        records.write_result(store, key, {"miou": 0.5})
    return store


def test_what_was_left_is_gone_and_claims_stay(finished: LocalStore) -> None:
    forget(KEYS[:1], finished)
    assert finished.names(KEYS[0]) == ["claim-000002.json"]
    assert records.state(finished, KEYS[0]).name == "interrupted"
    assert records.state(finished, KEYS[1]).name == "done"
    acquire(finished, KEYS[0]).release()


def test_where_a_living_process_holds_one_of_them_none_is_touched(finished: LocalStore) -> None:
    with acquire(finished, KEYS[1]), pytest.raises(UserError, match=r"deletes nothing.*is held by process"):
        forget(KEYS, finished)
    assert [records.state(finished, key).name for key in KEYS] == ["done", "done"]


def test_an_end_after_any_deletion_leaves_a_key_that_is_done_whole_or_continues_rightly(
    finished: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint without the log before it would continue to a history with a hole."""
    key = KEYS[0]
    checkpoints.save(finished, key, b"1", step=1)
    checkpoints.save(finished, key, b"2", step=2)
    stages: list[tuple[bool, bool, bool]] = []
    delete = LocalStore.delete

    def watched(self: LocalStore, key: str, name: str) -> None:
        delete(self, key, name)
        names = self.names(key)
        stages.append((records.RESULT in names, bool(checkpoints.steps(names)), records.METRICS in names))

    monkeypatch.setattr(LocalStore, "delete", watched)
    _delete(finished, key)
    assert not any(result for result, _, _ in stages)
    assert all(log for _, checkpoint, log in stages if checkpoint)
    assert len(stages) >= 6


def test_what_is_not_there_is_left_not_there(store: LocalStore) -> None:
    forget(KEYS, store)
    assert store.keys() == []


def test_nothing_is_forgotten_where_the_run_is_refused(
    tmp_path: Path,
) -> None:
    base = ["--out", str(tmp_path), "--rows", "Supervised", "--seeds", "0"]
    assert run_study(STUDY, [*base, "--gangs", "0"]) == 0
    (result,) = tmp_path.glob("store/*/result.json")
    refused = [
        ["--gangs", "99", "--force-row", "Supervised"],
        ["--gangs", "1", "--workers", "99", "--force-row", "Supervised"],
        ["--gangs", "0", "--gpus-per-worker", "1", "--force-row", "Supervised"],
        ["--gangs", "0", "--force-row", "Supervized"],
        ["--gangs", "0", "--force-row", "Supervised", "--set", "data.split.labeled=nowhere.txt"],
    ]
    for flags in refused:
        assert run_study(STUDY, [*base, *flags]) == 2, flags
    layout = tmp_path / "tiny" / "quick" / "study.json"
    layout.unlink()
    layout.mkdir()
    assert run_study(STUDY, [*base, "--gangs", "0", "--force-row", "Supervised"]) != 0
    assert result.exists()

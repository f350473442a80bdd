"""One process trains many experiments: each as if it were alone, and nothing piles up."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest
from helpers import QUIET, small

from assay.execution.schedule import Outcome
from assay.execution.worker import Worker
from assay.experiment import Experiment
from assay.places import Places
from assay.resolve import Resolver, resolve
from assay.store import records
from assay.store.claims import Observer
from assay.store.local import LocalStore


def worker(folder: Path) -> Worker:
    return Worker(
        store=LocalStore(folder),
        resolver=Resolver(Places()),
        places=Places(),
        runtime=QUIET,
        run="t",
        observer=Observer(),
    )


def attempt(of: Worker, experiment: Experiment) -> Outcome:
    key = resolve(experiment, Places()).key
    return of.attempt(key, experiment, stop=lambda: False, on_event=lambda event: None)


def state_of_this_process() -> tuple[float, int, int]:
    """Resident megabytes, open files, threads."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
    )


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells these numbers through /proc")
def test_memory_files_and_threads_after_fifty_experiments_are_as_after_five(tmp_path: Path) -> None:
    of = worker(tmp_path)
    counted = []
    for number in range(50):
        assert attempt(of, small("cps" if number % 2 else "supervised", seed=number, recipe__steps=3)).kind == "done"
        if number in (4, 49):
            counted.append(state_of_this_process())
    (memory, files, threads), (memory_later, files_later, threads_later) = counted
    assert files_later <= files and threads_later <= threads
    assert memory_later - memory < 40, f"{memory_later - memory:.1f} MB more after 45 experiments"


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (ConnectionResetError("a cable fell out"), "lost"),  # trying again may help
        (ValueError("two shapes do not fit"), "failed"),  # it would come again
    ],
)
def test_an_error_without_a_name_ends_the_attempt_and_its_traceback_lies_in_the_log(
    tmp_path: Path, problem: Exception, kind: str
) -> None:
    of = worker(tmp_path)
    experiment = small()
    key = resolve(experiment, Places()).key

    def stumbles() -> bool:
        raise problem

    outcome = of.attempt(key, experiment, stop=stumbles, on_event=lambda event: None)
    assert outcome.kind == kind and str(problem) in outcome.error
    store = LocalStore(tmp_path)
    assert b"Traceback" in store.read(key, "log.txt")
    assert records.state(store, key).name == {"lost": "interrupted", "failed": "failed"}[kind]
    assert attempt(of, experiment).kind == "done"


def test_an_experiment_that_resolves_to_another_key_here_is_not_trained(tmp_path: Path) -> None:
    outcome = worker(tmp_path).attempt("0" * 16, small(), stop=lambda: False, on_event=lambda event: None)
    assert outcome.kind == "failed" and "other lists, weights or code" in outcome.error
    assert LocalStore(tmp_path).keys() in ([], ["0" * 16])

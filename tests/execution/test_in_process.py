"""A schedule worked off in this process, on a real store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import damage
import pytest
from helpers import QUIET, small
from PIL import Image
from recorder import Recorder
from small_values import SMALL

from assay.errors import AssayError
from assay.execution import in_process
from assay.execution.events import StepDone
from assay.execution.in_process import run_in_process
from assay.execution.schedule import Task, TaskSchedule
from assay.execution.worker import Worker
from assay.experiment import Experiment
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.presets import starting_point
from assay.resolve import Resolver, resolve
from assay.store import records
from assay.store.claims import Observer, acquire
from assay.store.local import LocalStore

HOT = {"recipe__optimizer__lr": 1e30, "recipe__steps": 40}  # its loss is soon no number any more


class Work:
    """Some experiments with their inputs, and the events of their runs."""

    def __init__(self, store: LocalStore, places: Places, *experiments: Experiment) -> None:
        self.store, self.places = store, places
        self.experiments: dict[str, Experiment] = {}
        self.needs: dict[str, tuple[str, ...]] = {}
        self.recorder = Recorder()
        self.keys = [self._add(each) for each in experiments]

    def _add(self, experiment: Experiment) -> str:
        resolved = resolve(experiment, self.places)
        self.needs[resolved.key] = tuple(self._add(each.experiment) for each in resolved.inputs.values())
        self.experiments[resolved.key] = experiment
        return resolved.key

    def run(self, *, stop: Callable[[], bool] = lambda: False) -> TaskSchedule:
        schedule = TaskSchedule([Task(key=key, needs=needs) for key, needs in self.needs.items()])
        worker = Worker(
            store=self.store,
            resolver=Resolver(self.places),
            places=self.places,
            runtime=QUIET,
            run="test",
            observer=Observer(),
        )
        run_in_process(schedule, self.experiments, worker, stop=stop, listener=self.recorder)
        return schedule

    def states(self) -> list[str]:
        return [records.state(self.store, key).name for key in self.keys]


def kd(teacher: Experiment, **changes: object) -> Experiment:
    return small("kd", method__teachers=(teacher,), **{"recipe__steps": 4, **changes})


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*") if path.is_file()}


def logged(store: LocalStore, key: str) -> list[dict[str, float]]:
    lines = records.read_metrics(store, key)
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(in_process, "POLL_HELD_EVERY", 0.02)
    return


def test_a_teacher_is_trained_once_before_its_students_and_nothing_is_trained_again(
    store: LocalStore, places: Places
) -> None:
    teacher = small(recipe__steps=4, seed=7)
    students = (kd(teacher), kd(teacher, method__temperature=4.0), kd(kd(teacher), seed=3))
    work = Work(store, places, *students)
    schedule = work.run()
    assert schedule.is_over and set(schedule.keys("done")) == set(work.experiments)
    began = [key for key, state in work.recorder.states() if state == "running"]
    assert len(began) == 4, "teacher, two students and one of the first student"
    assert all(began.index(inner) < began.index(key) for key in began for inner in work.needs[key])
    assert all(len(records.attempts(store, key)) == 1 for key in work.experiments)
    before = stamps(store.root)
    again = Work(store, places, *students)
    assert set(again.run().keys("done")) == set(work.experiments) and stamps(store.root) == before


def test_what_fails_is_failed_with_its_error_what_needs_it_is_blocked_and_the_rest_goes_on(
    store: LocalStore, places: Places
) -> None:
    hot = small(**HOT)
    work = Work(store, places, kd(hot), kd(kd(hot)), small(recipe__steps=4))
    schedule = work.run()
    broken = resolve(hot, places).key
    assert schedule.state(broken) == "failed" and schedule.error(broken).startswith("NotFinite")
    assert [schedule.state(key) for key in work.keys] == ["blocked", "blocked", "done"]
    state = records.state(store, broken)
    assert state.name == "failed" and "NotFinite" in state.detail
    assert work.states()[:2] == ["absent", "absent"]


def test_a_stop_leaves_a_checkpoint_and_the_next_run_goes_on_from_there(
    store: LocalStore, places: Places, tmp_path: Path
) -> None:
    work = Work(store, places, small(), small(seed=1))

    def reached() -> bool:
        return any(isinstance(event, StepDone) and event.step >= 7 for event in work.recorder.events)

    schedule = work.run(stop=reached)
    assert [schedule.state(key) for key in work.keys] == ["waiting", "waiting"]
    assert work.states() == ["interrupted", "absent"]
    Work(store, places, small(), small(seed=1)).run()
    assert work.states() == ["done", "done"]
    first, second = (each["from_step"] for each in records.attempts(store, work.keys[0]))
    assert first == 0 and 7 <= second < 12
    whole = LocalStore(tmp_path / "whole")
    Work(whole, places, small()).run()
    assert logged(store, work.keys[0]) == logged(whole, work.keys[0])


def test_what_another_process_holds_is_waited_for_and_its_end_counts(
    store: LocalStore, places: Places, quick_looks: None
) -> None:
    teacher = small(recipe__steps=4)
    work = Work(store, places, kd(teacher), small(recipe__steps=4, seed=5))
    other = Work(store, places, teacher)
    claim = acquire(store, other.keys[0])

    def go_away() -> None:
        while (work.keys[1], "done") not in work.recorder.states():
            time.sleep(0.01)
        time.sleep(0.1)
        claim.release()

    thread = threading.Thread(target=go_away)
    thread.start()
    schedule = work.run()
    thread.join()
    assert set(schedule.keys("done")) == set(work.experiments)
    held = [state for _, state in work.recorder.states(other.keys[0])]
    assert held == ["running", "held", "running", "done"]
    assert len(records.attempts(store, other.keys[0])) == 1


@pytest.mark.parametrize("failed", [False, True])
def test_what_another_process_ended_is_taken_over_as_it_ended(
    store: LocalStore, places: Places, quick_looks: None, failed: bool
) -> None:
    work = Work(store, places, small(recipe__steps=4))
    (key,) = work.keys
    claim = acquire(store, key)

    def end() -> None:
        while work.recorder.states()[-1:] != [(work.keys[0], "held")]:
            time.sleep(0.01)
        if failed:
            records.add_failure(store, key, {"error": "NotFinite: elsewhere"}, final=True)
        else:
            records.write_result(store, key, {"miou": 0.5})
        claim.release()

    thread = threading.Thread(target=end)
    thread.start()
    schedule = work.run()
    thread.join()
    assert schedule.state(key) == ("failed" if failed else "done")
    assert schedule.error(key) == ("NotFinite: elsewhere" if failed else "")
    assert records.attempts(store, key) == []


def test_a_store_that_cannot_be_written_ends_the_run_and_is_nobodys_failure(store: LocalStore, places: Places) -> None:
    work = Work(store, places, small(recipe__steps=4), small(recipe__steps=4, seed=1))
    store.root.mkdir(parents=True, exist_ok=True)
    (store.root / work.keys[0]).write_text("a file where a folder must be")
    with pytest.raises(AssayError, match="a file stands where a folder must be"):
        work.run()
    assert records.state(store, work.keys[1]).name == "absent", "nothing else was tried"
    (store.root / work.keys[0]).unlink()
    work.run()
    assert work.states() == ["done", "done"]


@pytest.mark.parametrize(
    "name", [records.RESULT, records.EXPERIMENT, records.METRICS, "sessions.json", records.ATTEMPTS]
)
def test_a_damaged_document_fails_its_own_experiment_and_the_rest_goes_on(
    store: LocalStore, places: Places, name: str
) -> None:
    work = Work(store, places, small(recipe__steps=4), small(recipe__steps=4, seed=1))
    broken, sound = work.keys
    store.write(broken, name, b'{"step": \n')
    schedule = work.run()
    assert [schedule.state(key) for key in (broken, sound)] == ["failed", "done"]
    assert f"{store.place(broken)}/{name}" in schedule.error(broken)
    assert "restore it from a copy, or delete it" in schedule.error(broken)
    state = records.state(store, broken)
    assert state.name == "failed" and name in state.detail
    store.delete(broken, name)
    records.retry(store, broken)
    again = Work(store, places, small(recipe__steps=4))
    assert again.run().state(broken) == "done"


def test_a_failure_is_reported_with_the_experiments_that_it_blocks(store: LocalStore, places: Places) -> None:
    hot = small(**HOT)
    work = Work(store, places, kd(hot))
    work.run()
    assert dict(work.recorder.states()) == {
        resolve(hot, places).key: "failed",
        work.keys[0]: "blocked",
    }


def test_an_experiment_that_cannot_be_built_is_failed_with_its_error(store: LocalStore, places: Places) -> None:
    teacher, other = small(recipe__steps=4), small(recipe__steps=4, seed=3)
    student = kd(teacher)
    work = Work(store, places, student, other)
    key = resolve(teacher, places).key
    work.run()
    store.delete(key, "weights.pt")
    again = Work(store, places, kd(teacher, method__temperature=2.0))
    schedule = again.run()
    assert schedule.state(again.keys[0]) == "failed" and "weights.pt" in schedule.error(again.keys[0])
    state = records.state(store, again.keys[0])
    assert state.name == "failed" and "weights.pt" in state.detail


def test_a_damaged_image_fails_the_experiments_that_read_it_with_one_sentence(
    store: LocalStore, tmp_path: Path
) -> None:
    root = damage.write_folder(tmp_path / "data" / "mine")
    content = damage.encoded(Image.fromarray(damage.pixels()), ".jpg")
    bad = damage.replace(root / "unlabeled" / "bad.jpg", content[: len(content) // 2])
    changes = {
        **{name: value for name, value in SMALL.items() if not name.startswith("data.")},
        "data.source.path": "mine",
        "data.source.num_labels": damage.CLASSES,
        "data.split.labeled": "all",
        "net.encoder.arch": "tiny",
        "recipe.steps": 4,
    }
    experiments = [
        apply(starting_point(method, "folder"), overrides_of(changes, "test")) for method in ("cps", "supervised")
    ]
    work = Work(store, Places(data=tmp_path / "data"), *experiments)
    work.run()
    assert work.states() == ["failed", "done"]
    sentence = records.state(store, work.keys[0]).detail
    assert f"{bad} cannot be read as an image" in sentence and "\n" not in sentence
    assert records.read_json(store, work.keys[0], records.RESULT) is None

"""Size and speed of a study's networks, teachers beside students."""

from __future__ import annotations

import json

from drawn_study import frame_of, line

from assay.analysis.filled_table import records
from assay.analysis.network_sizes import NetworkSize, sizes

TEACHER = {
    "key": "teacher",
    "method": "cps",
    "encoder": "resnet101",
    "arch": "deeplabv3plus",
    "crop": "32x32",
    "params": 6e7,
    "macs": 3e9,
    "latency_ms": 80.0,
    "latency_at": "cpu AVX2, 1 thread",
}


def sizes_of(*lines: dict) -> tuple[NetworkSize, ...]:
    return sizes(records(frame_of(list(lines))))


def test_a_teacher_that_is_no_row_stands_beside_its_students() -> None:
    inside = json.dumps([TEACHER])
    student, teacher = sizes_of(
        *(line("t", "KD", "a", seed, inside=inside, latency_ms=float(seed)) for seed in (1, 2, 9)),
        line("t", "Supervised", "a", 1, latency_ms=4.0),
    )
    assert (student.network, student.latency_ms, student.trainings) == ("tiny, deeplabv3plus", 3.0, 4)
    assert (student.rows, student.nested_in) == (("KD", "Supervised"), ())
    assert (teacher.network, teacher.latency_ms, teacher.trainings) == ("resnet101, deeplabv3plus", 80.0, 1)
    assert (teacher.rows, teacher.nested_in) == ((), ("KD",))


def nets(*widths: int, **changes: object) -> list[dict]:
    return [
        {**TEACHER, "key": f"of {width}", "encoder": "tiny", "params": 1e6 * width, "miou": 50.0 + width}
        | {"net": {"encoder": {"arch": "tiny", "width": width}}, **changes}
        for width in widths
    ]


def test_networks_of_one_encoder_and_head_are_distinguished_by_differing_values() -> None:
    experiment = json.dumps({"net": {"encoder": {"arch": "tiny", "width": 8}}})
    networks = sizes_of(line("t", "KD", "a", 0, inside=json.dumps(nets(16, 20)), experiment=experiment))
    assert [size.network for size in networks] == [
        f"tiny, deeplabv3plus, encoder.width {width}" for width in (8, 16, 20)
    ]


def test_values_that_differ_between_trainings_of_one_network_do_not_distinguish_it() -> None:
    def student(frozen: int) -> dict:
        experiment = {"net": {"frozen": frozen, "encoder": {"arch": "tiny", "width": 8}}}
        return line("t", "KD", "a", frozen, inside=json.dumps(nets(16)), experiment=json.dumps(experiment))

    networks = sizes_of(student(0), student(1))
    assert [size.network for size in networks] == [f"tiny, deeplabv3plus, encoder.width {width}" for width in (8, 16)]


def test_results_without_the_network_are_named_by_encoder_and_head() -> None:
    networks = sizes_of(line("t", "KD", "a", 0, inside=json.dumps(nets(16, 20, net=None))))
    assert [size.network for size in networks] == ["tiny, deeplabv3plus"] * 3


def test_the_scores_of_teachers_are_a_range_over_their_trainings() -> None:
    again = nets(16, key="another seed", miou=60.0)
    students = (line("t", row, "a", 0, inside=json.dumps(nets(16) + again)) for row in ("KD", "CWD"))
    student, teacher = sizes_of(*students)
    assert (teacher.miou, teacher.trainings, student.miou) == ((60.0, 66.0), 2, None)


def test_a_nested_experiment_that_is_not_trained_yet_has_no_size() -> None:
    waiting = json.dumps([{"key": "teacher", "status": "waiting"}])
    assert sizes_of(line("t", "r", "a", 0), line("t", "s", "a", 0, inside=waiting, key="other")) == ()


def test_one_network_alone_is_compared_with_nothing() -> None:
    assert sizes_of(*(line("t", "r", "a", seed) for seed in (0, 1))) == ()
    assert sizes_of(line("t", "r", "a", 0), line("t", "r", "a", 1, latency_at="cpu AVX512, 1 thread")) == ()


def test_a_training_in_two_tables_is_counted_once() -> None:
    small, large = sizes_of(
        *(line(table, "r", "a", 0, key="same") for table in ("t", "u")), line("t", "s", "a", 0, params=1e9)
    )
    assert (small.trainings, large.trainings) == (1, 1)


def test_latencies_of_different_conditions_are_not_mixed() -> None:
    here, there = "cpu AVX2, 1 thread", "cpu AVX2, 8 threads"
    networks = sizes_of(
        line("t", "r", "a", 0, latency_ms=8.0, latency_at=here),
        line("t", "r", "a", 1, latency_ms=1.0, latency_at=there),
        line("t", "s", "a", 0, params=1e9, latency_ms=90.0, latency_at=here),
    )
    assert [(size.latency_ms, size.latency_at) for size in networks] == [(8.0, here), (1.0, there), (90.0, here)]


def test_a_result_without_latency_has_a_size() -> None:
    student, _ = sizes_of(
        line("t", "r", "a", 0, latency_ms=None, latency_at=None), line("t", "s", "a", 0, params=1e9, latency_ms=None)
    )
    assert (student.params, student.latency_ms) == (1.2e5, None)


def test_what_is_not_trained_yet_has_no_size() -> None:
    waiting = {"status": "waiting", "params": None, "macs": None, "latency_ms": None, "latency_at": None}
    assert sizes_of(line("t", "r", "a", 0), line("t", "s", "a", 0, **waiting)) == ()

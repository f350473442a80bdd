"""Numbers in words."""

from __future__ import annotations

from assay.wording import count, duration, plural


def test_a_noun_follows_its_number() -> None:
    assert [count(number, "gang") for number in (0, 1, 2, 0.5)] == ["0 gangs", "1 gang", "2 gangs", "0.5 gangs"]


def test_a_noun_before_a_list_follows_the_number_of_its_items() -> None:
    assert [plural("seed", number) for number in (0, 1, 2)] == ["seeds", "seed", "seeds"]


def test_time_spans_are_for_people() -> None:
    assert [duration(seconds) for seconds in (12, 600, 7200)] == ["12 s", "10 min", "2.0 h"]

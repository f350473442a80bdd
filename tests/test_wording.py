"""Numbers in words."""

from __future__ import annotations

from assay.wording import byte_size, count, duration, plural


def test_a_noun_follows_its_number() -> None:
    assert [count(number, "gang") for number in (0, 1, 2, 0.5)] == ["0 gangs", "1 gang", "2 gangs", "0.5 gangs"]


def test_a_noun_before_a_list_follows_the_number_of_its_items() -> None:
    assert [plural("seed", number) for number in (0, 1, 2)] == ["seeds", "seed", "seeds"]


def test_time_spans_are_for_people() -> None:
    assert [duration(seconds) for seconds in (12, 600, 7200)] == ["12 s", "10 min", "2.0 h"]


def test_sizes_are_those_of_disks() -> None:
    sizes = (12, 19_200, 750_000, 8_660_000_000, 2.5e13)
    assert [byte_size(size) for size in sizes] == ["12 B", "19.2 kB", "750 kB", "8.66 GB", "25 TB"]

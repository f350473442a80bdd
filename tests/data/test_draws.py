"""Random numbers as a function of their address."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import torch

from assay.data.draws import digest, generator, order, torch_seed


def run_python(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_equal_addresses_give_equal_numbers():
    first = generator(3, "crop", "labeled", 17).random(100)
    assert np.array_equal(first, generator(3, "crop", "labeled", 17).random(100))


def test_earlier_draws_do_not_matter():
    alone = generator(0, "b").random(10)
    generator(0, "a").random(1000)
    order(50, 0, "c")
    assert np.array_equal(alone, generator(0, "b").random(10))


def test_another_process_draws_the_same_numbers():
    code = "from assay.data.draws import generator, order; print(generator(1, 'x').random(), *order(9, 2, 'y'))"
    assert run_python(code).split() == [str(generator(1, "x").random()), *map(str, order(9, 2, "y"))]


def test_the_numbers_of_an_address_never_change():
    assert digest(1, "crop").hex() == "9a5581abefd9b72be9d56103a7f7f264"
    assert generator(1, "crop").integers(0, 1000, 5).tolist() == [600, 698, 399, 644, 958]


def test_a_number_and_its_text_are_different_addresses():
    assert digest(1) != digest("1")
    assert generator(1, "x").random() != generator("1", "x").random()


def test_the_boundaries_of_the_parts_of_an_address_matter():
    addresses = [("ab", "c"), ("a", "bc"), ("abc",), (1, 23), (12, 3), (123,), ("1", 23), (1, "23"), ("c", "ab")]
    assert len({digest(*address) for address in addresses}) == len(addresses)


def test_neighbouring_addresses_are_independent():
    draws = np.stack([generator(0, "crop", position).random(2000) for position in range(20)])
    correlations = np.corrcoef(draws) - np.eye(20)
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


def test_first_numbers_of_addresses_are_uniform():
    firsts = np.array([generator(0, "flip", position).random() for position in range(4000)])
    counts, _ = np.histogram(firsts, bins=10, range=(0, 1))
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400)


def test_order_is_a_permutation_that_belongs_to_its_address():
    drawn = order(1000, 7, "epoch", 0)
    assert np.array_equal(np.sort(drawn), np.arange(1000))
    assert np.array_equal(drawn, order(1000, 7, "epoch", 0))
    assert not np.array_equal(drawn, order(1000, 7, "epoch", 1))


def test_torch_accepts_the_seeds_and_they_differ():
    seeds = {torch_seed(0, "net", index) for index in range(1000)}
    assert len(seeds) == 1000
    for seed in seeds:
        assert 0 <= seed < 2**63
        torch.Generator().manual_seed(seed)


def test_the_global_generators_are_left_alone():
    np.random.seed(5)
    torch.manual_seed(5)
    expected = np.random.random(), torch.rand(()).item()
    np.random.seed(5)
    torch.manual_seed(5)
    generator(0, "x").random(100)
    order(100, 0, "x")
    assert (np.random.random(), torch.rand(()).item()) == expected


def test_draws_are_made_without_torch():
    run_python("import assay.data.draws, assay.data.views, sys; assert 'torch' not in sys.modules")

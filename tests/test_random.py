"""Counter-based random numbers: known answers, distributions, and what they must not depend on."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import scipy.stats
import torch

from spikeloom.kernels.philox import block
from spikeloom.kernels.random import FEW, KINDS, draw

F64 = torch.empty(0, dtype=torch.float64)

# Known answers that the authors of the generator publish with their library (philox4x32, 10 rounds).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter, key, expected) -> None:
    pair, step, both = (np.uint64(low | high << 32) for low, high in (counter[:2], counter[2:], key))
    compiled = numba.njit(lambda both, step, pair: block(both, step, pair))
    for found in (block.plain(both, step, pair), compiled(both, step, pair)):
        assert tuple(map(int, found)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_distribution(kind: str) -> None:
    sample = draw(f"{kind}.a", 3, 0, 200, 1001, F64).flatten().numpy()
    law = {"normal": scipy.stats.norm(), "uniform": scipy.stats.uniform(), "exponential": scipy.stats.expon()}[kind]
    assert scipy.stats.kstest(sample, law.cdf).pvalue > 1e-3
    assert len(np.unique(sample)) == len(sample)
    assert np.isfinite(sample).all()


@pytest.mark.parametrize("like", [F64, F64.float()])
def test_few_numbers_without_a_kernel_are_those_of_many(like: torch.Tensor) -> None:
    many = draw("uniform.a", -3, 5, 20, 1001, like)
    assert many.numel() > FEW
    for steps, width in ((1, 1), (3, 17), (16, 1001), (0, 5), (2, 0)):
        few = draw("uniform.a", -3, 7, steps, width, like)
        assert few.is_contiguous()
        assert torch.equal(few, many[2 : 2 + steps, :width])


def test_neighbours_and_successors_are_uncorrelated() -> None:
    x = draw("normal.a", 5, 0, 400, 500, F64).numpy()
    for a, b in ((x[:, 0::2], x[:, 1::2]), (x[1:], x[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_neurons_and_threads_change_nobody_elses_numbers(kind: str) -> None:
    whole = draw(f"{kind}.a", 7, 0, 300, 1001, F64)
    assert torch.equal(draw(f"{kind}.a", 7, 100, 200, 1001, F64), whole[100:])
    assert torch.equal(draw(f"{kind}.a", 7, 0, 300, 17, F64), whole[:, :17])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert torch.equal(draw(f"{kind}.a", 7, 0, 300, 1001, F64), whole)
    finally:
        torch.set_num_threads(threads)


def test_seed_and_purpose_change_all_numbers() -> None:
    base = draw("normal.a", 7, 0, 10, 10, F64)
    for other in (draw("normal.a", 8, 0, 10, 10, F64), draw("normal.b", 7, 0, 10, 10, F64)):
        assert not (base == other).any()


def test_float32_is_the_rounded_float64() -> None:
    assert torch.equal(draw("normal.a", 1, 0, 9, 9, torch.empty(0)), draw("normal.a", 1, 0, 9, 9, F64).float())

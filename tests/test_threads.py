"""Who runs a kernel's blocks: torch's own threads, a pool of ours where there are none, and what leaves either."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.kernels import threads
from spikeloom.kernels.threads import over_blocks, task_source


@pytest.fixture(params=["torch's", "own"])
def team(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Three threads of torch's team, or three of a pool of ours, as in a forked child."""
    if request.param == "own":
        monkeypatch.setattr(threads._threads, "_importer", -1)
    elif threads._openmp() is None:
        pytest.skip("torch has no OpenMP here")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield request.param
    torch.set_num_threads(before)


def scanned() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.rand(80, 3, 1111, generator=torch.Generator().manual_seed(0)).requires_grad_()
    spikes = sl.scan(sl.LIF(tau=5.0), {"v": x}).spikes
    assert spikes is not None
    spikes.cumsum(0).sum().backward()
    assert x.grad is not None
    return spikes.detach(), x.grad


def test_both_kinds_of_threads_give_the_bits_of_one(team: str) -> None:
    many = scanned()
    torch.set_num_threads(1)
    one = scanned()
    assert torch.equal(many[0], one[0])
    assert torch.equal(many[1], one[1])


def test_several_threads_take_part(team: str) -> None:
    """Each block waits for all three, which only three threads at once can do."""
    together, seen = threading.Barrier(3, timeout=30), np.zeros(384, int)

    def kernel(begin: int, end: int) -> None:
        together.wait()
        seen[begin:end] += 1

    over_blocks(kernel, 384, 10_000)
    assert (seen == 1).all()


@pytest.mark.parametrize("failure", [ValueError("a fault"), KeyboardInterrupt()])
def test_what_a_kernel_raises_is_raised(team: str, failure: BaseException) -> None:
    def kernel(begin: int, end: int) -> None:
        if begin == 0:
            raise failure

    with pytest.raises(type(failure)) as caught:
        over_blocks(kernel, 384, 10_000)
    assert caught.value is failure


def test_the_task_of_a_team_is_short_and_readable() -> None:
    source = task_source(9)
    compile(source, "task", "exec")
    assert "call_kernel(table, 6, 9, begin, min(begin + lanes, end), steps, width)" in source
    assert max(map(len, source.splitlines())) <= 120


def test_intrinsics_refuse_what_they_cannot_do() -> None:
    import numba

    from spikeloom.lang.dialects.numba_calls import call_kernel, fetch_add

    t = numba.types
    with pytest.raises(numba.TypingError, match="expected int64"):
        numba.cfunc(t.void(t.CPointer(t.float64)))(lambda a: fetch_add(a))
    with pytest.raises(numba.TypingError, match="literals"):
        numba.cfunc(t.void(t.CPointer(t.int64), t.int64))(lambda a, n: call_kernel(a, 0, n, 0, 0, 0, 0))

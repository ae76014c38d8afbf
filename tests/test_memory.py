"""The pool of large blocks: what is lent is nobody else's, what is free is bounded, whatever torch does with it."""

import copy
import gc
import multiprocessing
import os
import random
import threading

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError
from spikeloom.kernels import memory
from spikeloom.kernels.memory import BlockPool, size_class, uninitialised
from spikeloom.kernels.scan import op

MIB = 2**20
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> BlockPool:
    """A pool of its own for each test."""
    made = BlockPool(64 * MIB)
    monkeypatch.setattr(memory, "pool", lambda: made)
    return made


def tensor(mebibytes: float = 2.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return uninitialised((int(mebibytes * MIB) // dtype.itemsize,), dtype, CPU)


def test_a_block_is_lent_again() -> None:
    first = tensor()
    where = first.data_ptr()
    del first
    again = tensor(1.9)  # of the same size class
    assert again.data_ptr() == where
    assert tensor().data_ptr() != where


def test_a_larger_block_is_lent_unless_twice_as_much_would_fit(fresh: BlockPool) -> None:
    first, second = tensor(4.0), tensor(3.0)
    where, smaller = first.data_ptr(), second.data_ptr()
    del first, second
    assert tensor(1.2).data_ptr() not in (where, smaller)
    fitting = tensor(2.0)
    assert fitting.data_ptr() == smaller  # the smallest that fits
    other = tensor(2.0)
    assert other.data_ptr() == where
    del fitting, other
    assert fresh.kept == sum(map(size_class, (4 * MIB, 3 * MIB, int(1.2 * MIB))))


def test_size_classes_are_a_quarter_too_large_at_most() -> None:
    for size in [*range(1, 5000), *(random.Random(0).randrange(1, 2**40) for _ in range(1000))]:
        assert size <= size_class(size) <= max(1.25 * size, size + 1)
        assert size_class(size_class(size)) == size_class(size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("shape", [(2**21,), (3, 7, 2**18 + 1), (0, 5), ()])
def test_tensors_are_aligned_and_as_asked(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    made = uninitialised(shape, dtype, CPU)
    assert made.shape == shape
    assert made.dtype == dtype
    assert made.is_contiguous()
    assert made.data_ptr() % 64 == 0
    made.fill_(1)
    assert made.sum() == made.numel()


HOLDERS = {
    "slice": lambda t: t[5:6],
    "view": lambda t: t.view(2, -1).t(),
    "detached": lambda t: t.detach(),
    "numpy": lambda t: t.numpy(),
    "view of numpy": lambda t: t.numpy()[::7].reshape(-1, 1),
    "memoryview": lambda t: memoryview(t.numpy()),
    "dlpack": lambda t: torch.from_dlpack(t),
    "numpy by dlpack": lambda t: np.from_dlpack(t),
    "storage": lambda t: t.untyped_storage(),
    "reinterpreted": lambda t: t.view(torch.int32)[3:],
    "graph": lambda t: (t.requires_grad_() * t[0]).sum(),
    "parameter": lambda t: torch.nn.Parameter(t),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_memory_that_somebody_holds_is_not_lent_again(fresh: BlockPool, holder: str) -> None:
    first = tensor().fill_(3.0)
    where = first.data_ptr()
    held = HOLDERS[holder](first)
    del first
    gc.collect()
    assert fresh.kept == 0
    others = [tensor() for _ in range(3)]
    assert where not in [o.data_ptr() for o in others]
    del held
    gc.collect()
    assert fresh.kept == size_class(2 * MIB)
    assert tensor().data_ptr() == where


def test_live_tensors_never_overlap_whatever_the_order() -> None:
    """Tensors and views come and go at random; each holds a value of its own, which nothing else may write."""
    chance, live = random.Random(1), dict[int, torch.Tensor]()
    for stamp in range(400):
        made = tensor(chance.choice([0.5, 1.0, 1.1, 2.0])).fill_(stamp)
        live[stamp] = chance.choice([made, made[1000:], made.view(-1, 2)[:, 1]])
        del made
        while len(live) > 8:
            del live[chance.choice(list(live))]
        for value, held in live.items():
            assert held[0] == held[-1] == value if held.dim() == 1 else (held == value).all()


def test_what_is_free_is_bounded_and_the_oldest_goes_first() -> None:
    small = BlockPool(5 * MIB)
    lent = [small.lend((n * MIB,), np.dtype("u1")) for n in (1, 2, 4, 3)]
    assert small.kept == 0
    for _ in range(4):
        del lent[0]
        assert small.kept <= small.limit
    assert small.kept == 3 * MIB
    none = BlockPool(0)
    none.lend((MIB,), np.dtype("u1"))
    assert none.kept == 0


def test_the_bound_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIKELOOM_POOL_MIB", raising=False)
    assert memory._limit() == 512 * MIB
    monkeypatch.setenv("SPIKELOOM_POOL_MIB", "0.5")
    assert memory._limit() == MIB / 2
    for bad in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("SPIKELOOM_POOL_MIB", bad)
        with pytest.raises(ParameterError, match=r"SPIKELOOM_POOL_MIB: got .*, expected a number of MiB >= 0"):
            memory._limit()


def test_small_tensors_and_other_devices_are_torchs_own(fresh: BlockPool) -> None:
    uninitialised((1000,), torch.float32, CPU)
    assert uninitialised((MIB,), torch.float32, torch.device("meta")).device.type == "meta"
    assert uninitialised((MIB,), torch.bfloat16, CPU).dtype == torch.bfloat16
    assert fresh.kept == 0


def test_threads_get_blocks_of_their_own(fresh: BlockPool) -> None:
    wrong: list[int] = []

    def work(stamp: int) -> None:
        for _ in range(200):
            mine = tensor(1.0).fill_(stamp)
            if not (mine == stamp).all():
                wrong.append(stamp)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert 0 < fresh.kept <= fresh.limit


def test_a_block_that_comes_back_while_the_pool_is_at_work_waits_in_the_inbox(fresh: BlockPool) -> None:
    """As a garbage collection within one of the pool's own methods would have it."""
    held = tensor()
    with fresh._lock:
        del held
        assert fresh.kept == 0
        assert tensor().data_ptr() % 64 == 0  # fresh memory; nothing waits
    other = tensor(5.0)
    del other
    assert fresh.kept == 2 * size_class(2 * MIB) + size_class(5 * MIB)


def _child(queue, held: torch.Tensor) -> None:
    torch.set_num_threads(1)  # torch's own do not survive a fork
    mine = tensor().fill_(7.0)
    queue.put((memory.pool().kept, float(held[0]), float(mine[-1])))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_keeps_what_is_lent_and_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the pool of the process, which hears of forks
    held, free = tensor().fill_(5.0), tensor()
    del free
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with memory.pool()._lock:  # a thread that is at work when another one forks
        child = context.Process(target=_child, args=(queue, held), daemon=True)
        child.start()
    kept, there, mine = queue.get(timeout=60)
    child.join()
    assert (kept, there, mine) == (0, 5.0, 7.0)
    assert held[0] == 5.0


def test_copies_files_and_shared_memory(tmp_path, fresh: BlockPool) -> None:
    first = tensor().fill_(2.0)
    twin = copy.deepcopy(first)
    torch.save(first, tmp_path / "t.pt")
    loaded = torch.load(tmp_path / "t.pt", weights_only=True)
    assert torch.equal(twin, first)
    assert torch.equal(loaded, first)
    assert twin.data_ptr() != first.data_ptr()
    where = first.data_ptr()
    first.share_memory_()  # moves the values; the block is free again
    assert first.is_shared()
    assert first.data_ptr() != where
    assert (first == 2.0).all()
    assert fresh.kept == size_class(2 * MIB)


def scanned(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_()
    spikes = sl.scan(sl.LIF(tau=5.0), {"v": x}).spikes
    assert spikes is not None
    spikes.cumsum(0).sum().backward()
    assert x.grad is not None
    return spikes.detach(), x.grad


def drive() -> torch.Tensor:
    return torch.rand(60, 2, 5000, generator=torch.Generator().manual_seed(0))


def test_a_scan_uses_the_pool_and_gives_the_same_every_time(fresh: BlockPool, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = op.empty

    def poisoned(like: torch.Tensor, shape, dtype=None) -> torch.Tensor:
        made = plain(like, shape, dtype)
        return made.fill_(float("nan")) if made.is_floating_point() else made.fill_(255)

    spikes, grad = scanned(drive())
    assert torch.isfinite(grad).all()
    lent: list[int] = []
    monkeypatch.setattr(op, "empty", lambda *how: lent.append((t := poisoned(*how)).data_ptr()) or t)
    kept = set[int]()
    for _ in range(3):  # reused and poisoned
        again = scanned(drive())
        assert torch.equal(again[0], spikes)
        assert torch.equal(again[1], grad)
        del again
        kept.add(fresh.kept)
    assert len(kept) == 1
    assert len(set(lent)) < len(lent)


def test_what_backward_needs_survives_other_scans() -> None:
    expected = scanned(drive())[1]
    x = drive().requires_grad_()
    spikes = sl.scan(sl.LIF(tau=5.0), {"v": x}).spikes
    assert spikes is not None
    loss = spikes.cumsum(0).sum()
    del spikes
    for _ in range(3):
        scanned(torch.zeros(60, 2, 5000))
    loss.backward(retain_graph=True)
    assert x.grad is not None
    assert torch.equal(x.grad, expected)
    scanned(torch.zeros(60, 2, 5000))
    loss.backward()
    assert torch.equal(x.grad, 2 * expected)


def test_inference_mode_and_no_grad_give_ordinary_outputs() -> None:
    with torch.inference_mode():
        inferred = sl.scan(sl.LIF(tau=5.0), {"v": drive()}).spikes
    with torch.no_grad():
        plain = sl.scan(sl.LIF(tau=5.0), {"v": drive()}).spikes
    assert inferred is not None
    assert plain is not None
    assert inferred.is_inference()
    assert not plain.is_inference()
    assert torch.equal(inferred, plain)
    assert (plain * torch.ones(1, requires_grad=True)).requires_grad

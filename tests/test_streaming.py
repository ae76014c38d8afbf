"""Kernels that write past the caches: the same bits as others, at every width, and the instructions they promise."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom import solvers
from spikeloom.check import Case, check_backend
from spikeloom.kernels.program import program
from spikeloom.kernels.scan import cpu, op, streaming
from spikeloom.kernels.scan.plan import training_plan

F32, F64 = torch.float32, torch.float64
MODELS = [
    Case(sl.LIF(tau=5.0), dtype=F32),
    Case(sl.LIF(tau=5.0), dtype=F64),
    Case(sl.ALIF(tau=5.0, beta=0.4), surrogate=sl.Gaussian(width=0.7), dtype=F32),
    Case(sl.LI(tau=3.0), dtype=F32),
    Case(sl.Refractory(sl.LIF(tau=5.0), t_ref=3.0), surrogate=sl.FastSigmoid(detach_reset=False), dtype=F32),
    Case(sl.HodgkinHuxley(), into="i", dt=0.02, solver=solvers.ExponentialEuler(), dtype=F64),
]


@pytest.fixture(autouse=True)
def poisoned_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = op.empty

    def poisoned(like: torch.Tensor, shape, dtype=None) -> torch.Tensor:
        made = plain(like, shape, dtype)
        return made.fill_(float("nan")) if made.is_floating_point() else made.fill_(255)

    monkeypatch.setattr(op, "empty", poisoned)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """All arrays count as large; gives the names that each kernel streamed."""
    monkeypatch.setattr(streaming, "_LARGE", 0)
    names: list[tuple[str, ...]] = []
    plain = cpu.streamed
    monkeypatch.setattr(cpu, "streamed", lambda *how: names.append(found := plain(*how)) or found)
    return names


@pytest.mark.parametrize("case", MODELS, ids=lambda case: f"{case.model!r}-{case.dtype}")
def test_streaming_kernels_equal_the_reference(case: Case, used: list[tuple[str, ...]]) -> None:
    check_backend(dataclasses.replace(case, neurons=520, batch=2, steps=7))
    assert all(used)
    assert any("g.x." in n for found in used for n in found)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("width", [8, 64, 512, 520, 1032, 4096])
def test_every_width_in_whole_vectors(width: int, threads: int, used: list[tuple[str, ...]]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check_backend(Case(sl.LIF(tau=5.0), steps=40, neurons=width, batch=1, dtype=torch.float32))
    finally:
        torch.set_num_threads(before)
    assert all(used)


def test_other_rows_and_small_arrays_are_written_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.empty(2**12, 2**10)  # 16 MiB
    arrays = {
        "fits": rows,
        "odd width": torch.empty(2**12, 2**10 + 1),
        "misaligned": torch.empty(2**22 + 1)[1:].view(2**12, 2**10),
        "small": torch.empty(16, 16),
        "one row": torch.empty(2**24),
        "bytes": torch.empty(2**14, 2**10, dtype=torch.uint8),
    }
    assert streaming.streamed([*arrays, "absent"], arrays) == ("fits",)


def source_of(direction: str, precision: str, streams: tuple[str, ...]) -> str:
    found = program(sl.LIF(), None, sl.ATan(), ("v",))
    plan = training_plan(found.text, (), (True,), (False,) * len(found.prepare))
    graph = plan.forward if direction == "forward" else plan.backward
    own = [n for n in graph.inputs if not n.startswith(("s.", "g.next."))]
    state = ["next.v"] if direction == "forward" else ["g.s.v"]
    names = (*own, *state, *(n for n in graph.outputs if n not in (*own, *state)))
    shared = frozenset(n for n in names if n.startswith("c"))
    return cpu.kernel_source(
        graph, names, (shared, frozenset()), plan.conditions, precision, direction, "LIF", False, streams
    )


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_rows_are_written_by_vectors_that_pass_the_cache(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llvmlite import binding

    from spikeloom.kernels.cache import load

    if not binding.get_host_cpu_features().get("avx"):
        pytest.skip("the instructions are AVX's")
    monkeypatch.setenv("SPIKELOOM_CACHE", str(tmp_path))
    packed = "ps" if precision == "f32" else "pd"
    streams = {"forward": ("spike", "save.0"), "backward": ("g.x.v",)}
    for direction, names in streams.items():
        source = source_of(direction, precision, names)
        kernel = getattr(load(f"{source}# compiled here and now, since a cached kernel has no listing"), direction)
        listing = kernel._library.get_asm_str()
        assert f"vmovntp{packed[1]}" in listing or f"vmovnt{packed}" in listing
        assert f"vmul{packed}" in listing  # the computing loop is vectorised as well
        plain = source_of(direction, precision, ())
        assert "stream" not in plain


def test_the_source_reads_as_two_loops() -> None:
    lines = [line.strip() for line in source_of("forward", "f32", ("spike", "save.0")).splitlines()]
    after = lines[lines.index("for step in range(steps):") :]
    expected = [
        "for low in range(begin, end, 512):", "high = min(low + 512, end)", "for m in range(low, high):",
        "buffer[m - low] = spike_new", "buffer[m - low + 512] = save_0_new",
        "for m in range(low, high, 8):", "stream(spike_all, at + m, buffer, m - low)",
        "stream(save_0_all, at + m, buffer, m - low + 512)", "finish_streams()",
    ]  # fmt: skip
    places = [after.index(line) for line in expected]
    assert places == sorted(places)


def test_many_rows_share_a_small_buffer() -> None:
    for count in (1, 2, 8, 20, 100):
        for precision, size in (("f32", 4), ("f64", 8)):
            streams = streaming.Streams([f"save.{k}" for k in range(count)], precision)
            assert streams.lanes % 64 == 0
            assert streams.lanes >= 64
            assert streams.lanes * count * size <= 2**14 or streams.lanes == 64


def test_intrinsics_refuse_what_they_cannot_do() -> None:
    import numba

    from spikeloom.lang.dialects.numba_streaming import row_buffer, stream

    t: Any = numba.types  # made while Numba is imported
    with pytest.raises(numba.TypingError, match="two pointers to one type"):
        numba.cfunc(t.void(t.CPointer(t.float32), t.CPointer(t.float64)))(lambda a, b: stream(a, 0, b, 0))
    with pytest.raises(numba.TypingError, match="literal count"):
        numba.cfunc(t.void(t.int64))(lambda n: row_buffer(np.float32(0.0), n))

"""Stages of neurons, each fed by weights or by given rows, over a sequence in one compiled call."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import torch

from ..backends import note_kernel
from ..cache import load
from ..memory import uninitialised
from ..threads import together
from . import source as s
from .neuron import LANES, Neurons
from .pieces import pieces
from .weights import Weights

_PLACES = 2**17  # places of spikes that are listed at once, about
_AHEAD = 32  # steps whose sums wait for the neurons in the first-level cache
_LINE = 64  # bytes
_KIND = {torch.float32: "float32", torch.float64: "float64"}
_AT = {name: k for k, name in enumerate(s.FIELDS)}
_HEAD = {name: k for k, name in enumerate(s.HEAD)}

Initial = tuple[torch.Tensor, bool]  # values [B, N], or [N] for every sample; whether it is the latter


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """A layer of neurons and what feeds it: ``weights`` of the spikes before, or (None) given rows.

    ``states`` names the model's states, ``fires`` says whether it makes spikes, ``label`` is the model's name.
    """

    weights: Weights | None
    neurons: Neurons
    states: tuple[str, ...]
    fires: bool
    label: str


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """``y`` [T, B, N], the final states [B, N] of each stage, and whether they are all finite."""

    y: torch.Tensor
    states: list[dict[str, torch.Tensor]]
    finite: bool


class Chain:
    """Stages one after the other, in the precision of ``like``."""

    def __init__(self, stages: Sequence[Stage], like: torch.Tensor) -> None:
        self.stages, self._like, self._kind = list(stages), like, _KIND[like.dtype]
        self._records = np.array([_packing(stages[0]), *map(_record, stages)], np.int64)
        self._offsets, self._per_thread = _scratch(stages, like.element_size())
        packing = 0.2 * stages[0].weights.inputs if stages[0].weights else 0.0
        self._costs = (packing, *map(_cost, stages))
        self._bits = [st.neurons.blocks if st.fires else 0 for st in stages[:-1]]

    def __call__(
        self, x: torch.Tensor, given: bool,
        initial: Sequence[Sequence[Initial]], drawn: Sequence[torch.Tensor | None],
    ) -> Outcome | None:  # fmt: skip
        """Run over ``x`` [T, B, N]: spikes that go through the first stage's weights, or rows ``given`` to its neurons.

        ``initial`` holds the states of each stage, ``drawn`` [K, T, B, N] its random numbers. None where ``x`` was to
        be spikes and is not.
        """
        steps, batch = x.shape[:2]
        x = x if x.stride(2) == 1 else x.contiguous()
        records = self._records.copy()
        words, y = self._connected(records, x, given)
        finals = [
            {name: torch.empty((batch, st.neurons.size), dtype=self._like.dtype) for name in st.states}
            for st in self.stages
        ]
        tables = [_table(before, after) for before, after in zip(initial, finals, strict=True)]
        for row, table, numbers in zip(records[1:], tables, drawn, strict=True):
            row[_AT["STATE_TABLE"]] = table.ctypes.data
            if numbers is not None:
                row[_AT["RANDOM"]], row[_AT["RANDOMS"]] = numbers.data_ptr(), len(numbers)
        flags = self._drive(records, given, steps, batch)
        del words
        if flags[s.NOT_BINARY]:
            return None
        if not given:
            note_kernel("inference/cpu/Linear/forward")
        for stage in self.stages:
            note_kernel(f"inference/cpu/{stage.label}/forward")
        return Outcome(y, finals, not flags[s.NOT_FINITE])

    def _connected(self, records: np.ndarray, x: torch.Tensor, given: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Enter the places of input, spikes in between (returned, to be kept) and output (returned)."""
        steps, batch = x.shape[:2]
        bits = [0 if given else int(records[0, _AT["PER_ROW"]]), *self._bits]
        words = uninitialised((8 * steps * batch * sum(bits) + 1,), torch.uint8, x.device)
        begins = words.data_ptr() + 8 * steps * batch * np.cumsum([0, *bits[:-1]])
        records[:2, _AT["GIVEN"]] = x.data_ptr()
        records[:2, _AT["GIVEN_T"]], records[:2, _AT["GIVEN_B"]] = x.stride()[:2]
        if given:
            records[1, _AT["WIDTH"]] = 0
        records[0, _AT["WORDS"]] = begins[0]
        records[1:, _AT["WORDS"]] = begins
        records[1:-1, _AT["OUT_WORDS"]] = begins[1:]
        y = uninitialised((steps, batch, self.stages[-1].neurons.size), self._like.dtype, x.device)
        records[-1, _AT["OUT"]] = y.data_ptr()
        return words, y

    def _drive(self, records: np.ndarray, given: bool, steps: int, batch: int) -> np.ndarray:
        threads, items = pieces(self._costs, given, steps, batch, torch.get_num_threads())
        scratch = uninitialised((threads * self._per_thread + _LINE,), torch.uint8, self._like.device)
        counters = np.zeros(s.FLAGS + 2 * 8, np.int64)
        head = np.zeros(len(s.HEAD), np.int64)
        head[: _HEAD["BATCH"] + 1] = (
            len(items), items.ctypes.data, records.ctypes.data, counters.ctypes.data,
            -(-scratch.data_ptr() // _LINE) * _LINE, self._per_thread, steps, batch,
        )  # fmt: skip
        head[_HEAD["BATCH"] + 1 :] = self._offsets
        together(_driver(self._kind), head.ctypes.data, threads)
        return counters[s.FLAGS :]


def _packing(stage: Stage) -> list[int]:
    row = dict.fromkeys(s.FIELDS, 0)
    if stage.weights is not None:
        row |= {"INPUTS": stage.weights.inputs, "PER_ROW": -(-stage.weights.inputs // LANES)}
    return list((row | {"KIND": s.PACK}).values())


def _record(stage: Stage) -> list[int]:
    neurons, fed = stage.neurons, stage.weights
    row = dict.fromkeys(s.FIELDS, 0) | {
        "KIND": s.FORWARD, "OUTPUTS": neurons.size, "BLOCKS": neurons.blocks, "KERNEL": neurons.address,
        "STATES": len(stage.states), "LANES": neurons.lanes.data_ptr(), "LANE_COUNT": neurons.lanes.shape[1],
        "SINGLE": neurons.single.data_ptr(), "ROWS": _rows(stage), "AHEAD": _AHEAD,
    }  # fmt: skip
    if fed is not None:
        row |= {
            "INPUTS": fed.inputs, "PER_ROW": -(-fed.inputs // LANES), "WIDTH": fed.width,
            "TABLE": fed.table.data_ptr(), "BIAS": fed.bias.data_ptr(),
            "SCALE": 0 if fed.scale is None else fed.scale.data_ptr(),
            "SHIFT": 0 if fed.shift is None else fed.shift.data_ptr(),
            "AHEAD": s.ROWS if fed.narrowed else _AHEAD,
        }  # fmt: skip
    return list(row.values())


def _rows(stage: Stage) -> int:
    """How many rows of spikes are listed at once."""
    inputs = 1 if stage.weights is None else stage.weights.inputs
    return max(min(s.ROWS, _PLACES // inputs), 1)


def _cost(stage: Stage) -> float:
    """Nanoseconds of a step of one sample, to tell what is worth a second thread."""
    return stage.neurons.blocks * (30 + 0.1 * (stage.weights.inputs if stage.weights else 0))


def _scratch(stages: Sequence[Stage], size: int) -> tuple[list[int], int]:
    """Where each buffer of a thread begins, in the order of the head's last entries, and the bytes of all."""
    places = max(_rows(st) * (st.weights.inputs if st.weights else 0) for st in stages)
    states = max(len(st.states) for st in stages)
    streams = max(st.neurons.streams for st in stages)
    block = LANES * size
    sizes = [8 * 8, 8 * (s.ROWS + 1), 8 * s.ROWS, states * block, streams * s.ROWS * block, s.ROWS * block, 2 * places]
    ends = np.cumsum([-(-n // _LINE) * _LINE for n in sizes])
    return [0, *(int(e) for e in ends)], int(ends[-1])


def _table(before: Sequence[Initial], after: dict[str, torch.Tensor]) -> np.ndarray:
    """For each state: where it begins, the distance between samples there, and where it goes."""
    rows = [
        (value.data_ptr(), 0 if shared else final.shape[1], final.data_ptr(), 0)
        for (value, shared), final in zip(before, after.values(), strict=True)
    ]
    return np.array(rows, np.int64)


@functools.cache
def _driver(kind: str) -> int:
    return load(s.source(kind)).run.address


__all__ = ["Chain", "Initial", "Outcome", "Stage"]

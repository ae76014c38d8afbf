"""Bytes moved: every operation for itself, or everything read once and kept. The truth of a chip lies between."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .counts import STATE_BITS, LayerCounts, Measured

Reuse = Literal["none", "full"]
_STATE = STATE_BITS // 8  # bytes of an accumulator or a membrane


@dataclasses.dataclass(frozen=True)
class Moved:
    """An array: how large it is in bytes, and how many bytes of it were read and written in the whole run."""

    name: str
    size: float
    bytes: float


def traffic(layer: LayerCounts, run: Measured, reuse: Reuse) -> list[Moved]:
    """What one layer moves in the whole run.

    ============  ===============================================  =======================================
    array         reuse "none"                                     reuse "full"
    ============  ===============================================  =======================================
    weights       read by every effective operation                each read once per sample
    biases        read for every sum                               each read once per sample
    partial sums  read and written by every effective operation    stay in registers
    inputs        read once per step: 1 bit where the layer's input is spikes, else the full width (both)
    outputs       of neurons, written once per step: 1 bit where they are spikes, else the full width (both)
    states        read and written at every update                 read and written once per sample
    ============  ===============================================  =======================================

    Weights and activations have the width of the run, biases, sums and states 32 bits.
    """
    moved = _of_synapses(layer, run, reuse) + _of_neurons(layer, run, reuse)
    return [m for m in moved if m.bytes]


def _of_synapses(layer: LayerCounts, run: Measured, reuse: Reuse) -> list[Moved]:
    s = layer.synapses
    if s is None:
        return []
    width, once = run.bits / 8, reuse == "full"
    inputs = (1 / 8 if s.spikes else width) * s.inputs
    biases, sums = s.biases / run.sample_steps, s.outputs / run.sample_steps
    fetched = s.weights * run.samples if once else s.effective
    added = biases * run.samples if once else s.biases
    return [
        Moved("weights", s.weights * width, fetched * width),
        Moved("biases", biases * _STATE, added * _STATE),
        Moved("partial sums", sums * _STATE, 0 if once else 2 * s.effective * _STATE),
        Moved("inputs", inputs / run.sample_steps, inputs),
    ]


def _of_neurons(layer: LayerCounts, run: Measured, reuse: Reuse) -> list[Moved]:
    n = layer.neurons
    if n is None:
        return []
    outputs = (run.bits / 8 if n.spikes is None else 1 / 8) * n.updates
    visits = n.count * run.samples if reuse == "full" else n.updates
    return [
        Moved("outputs", outputs / run.sample_steps, outputs),
        Moved("states", n.states * n.count * _STATE, 2 * n.states * visits * _STATE),
    ]

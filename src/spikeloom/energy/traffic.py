"""Bytes moved: every operation for itself, or what is needed read once and kept. The truth of a chip lies between."""

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


def traffic(layer: LayerCounts, run: Measured, reuse: Reuse, *, skips_zeros: bool = True) -> list[Moved]:
    """What one layer moves in the whole run.

    ============  ===============================================  =======================================
    array         reuse "none"                                     reuse "full"
    ============  ===============================================  =======================================
    weights       read by every operation                          each read once per sample that needs it
    biases        read for every sum                               each read once per sample
    partial sums  read and written by every operation              stay in registers
    inputs        read once per step: 1 bit where the layer's input is spikes, else the full width (both)
    outputs       of neurons, written once per step: 1 bit where they are spikes, else the full width (both)
    states        read and written at every update                 read and written once per sample
    ============  ===============================================  =======================================

    Operations are the effective ones, and a weight is needed where it meets an input that is not zero; without
    ``skips_zeros`` they are the dense ones, and all weights are needed. No array moves more with reuse than without.
    Weights and activations have the width of the run, biases, sums and states 32 bits.
    """
    moved = _of_synapses(layer, run, reuse, skips_zeros) + _of_neurons(layer, run, reuse)
    return [m for m in moved if m.bytes]


def _of_synapses(layer: LayerCounts, run: Measured, reuse: Reuse, skips_zeros: bool) -> list[Moved]:
    s = layer.synapses
    if s is None:
        return []
    width, once = run.bits / 8, reuse == "full"
    inputs = (1 / 8 if s.spikes else width) * s.inputs
    times = run.samples if s.held else run.sample_steps  # how often the arrays of a step were filled
    operations, needed = (s.effective, s.needed) if skips_zeros else (s.dense, s.dense)
    fetched = min(needed, s.weights * run.samples) if once else operations
    added = min(s.biases, s.bias_values * run.samples) if once else s.biases
    return [
        Moved("weights", s.weights * width, fetched * width),
        Moved("biases", s.bias_values * _STATE, added * _STATE),
        Moved("partial sums", s.outputs / times * _STATE, 0 if once else 2 * operations * _STATE),
        Moved("inputs", inputs / times, inputs),
    ]


def _of_neurons(layer: LayerCounts, run: Measured, reuse: Reuse) -> list[Moved]:
    n = layer.neurons
    if n is None:
        return []
    outputs = (run.bits / 8 if n.spikes is None else 1 / 8) * n.updates
    visits = min(n.updates, n.count * run.samples) if reuse == "full" else n.updates
    return [
        Moved("outputs", outputs / run.sample_steps, outputs),
        Moved("states", n.states * n.count * _STATE, 2 * n.states * visits * _STATE),
    ]

"""Spikes of a neuron with a reset, drawn up to where it fired instead of to the last grid point before."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..kernels.field import vector_field
from ..models.base import NeuronModel
from ..simulation import Trace
from ..solvers.base import moving_states


def with_spike_tops(model: NeuronModel, trace: Trace) -> Trace:
    """``trace`` with the membrane at its threshold in the steps of spikes, where it would show what the reset left.

    Where the model says itself what is shown (``peak``), where nothing is reset and where a spike does not depend on
    the membrane's own height, the trace is returned as it is.

    >>> from spikeloom.models import LIF
    >>> from spikeloom.simulation import simulate
    >>> lif = LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    >>> trace = simulate(lif, 20.0, 15.0, 0.5)
    >>> float(trace["v"].max().round(3)), float(with_spike_tops(lif, trace)["v"].max())
    (14.815, 15.0)
    """
    names, membrane = moving_states(model), model.membrane
    at = np.flatnonzero(trace.fired) if trace.fired.ndim == 1 else np.empty(0, int)
    recorded = all(name in trace.states for name in names)
    if not len(at) or not recorded or model.draws or model.peak() or membrane not in model.reset(model.symbols()[0]):
        return trace
    field, own = vector_field(model), names.index(membrane)
    before = np.stack([trace[name][at - 1] for name in names])
    if not np.allclose(field.threshold_gradient(before)[own], 1.0):
        return trace
    shown = trace[membrane].copy()
    shown[at] = before[own] - field.threshold(before)
    return dataclasses.replace(trace, states={**trace.states, membrane: shown})


__all__ = ["with_spike_tops"]

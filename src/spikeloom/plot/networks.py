"""Pictures of networks at work: spikes of many neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..errors import ParameterError, ShapeError, SpikeError
from ..report.palette import cycle
from ._frame import WIDTH, as_array, headline, label, new_figure, style
from .populations import population_raster


def raster(spikes: Any, dt: float = 1.0, *, title: str = "") -> Figure:
    """One dot per spike, neurons upward, time to the right; several layers are stacked.

    Args:
        spikes: 0/1 of shape [T, N] (array or tensor), or a mapping from layer name to such arrays,
            drawn from top to bottom. Time step t is drawn at ``t * dt``. Or the result of
            ``sl.sim.Network.run``, drawn by :func:`~spikeloom.plot.population_raster`.
        dt: length of a time step in ms.
        title: written above the picture.

    Raises:
        ShapeError: not [T, N]; pick one sample of a batch first, as in ``spikes[:, 0]``.
        SpikeError: a value is negative or not a number.
        ParameterError: ``dt`` is not above 0, or there is nothing of the kind to draw.

    >>> figure = raster({"hidden": np.eye(5), "output": np.eye(5)[:, :2]}, dt=0.5)
    >>> [axes.get_ylabel() for axes in figure.axes], figure.axes[-1].get_xlabel()
    (['neuron', 'neuron'], 'time (ms)')
    """
    if hasattr(spikes, "spikes") and hasattr(spikes, "synapses"):
        return population_raster(spikes, title=title)
    if not dt > 0:
        raise ParameterError("dt is out of range", got=dt, expected="> 0 ms")
    layers = spikes if isinstance(spikes, Mapping) else {"": spikes}
    if any(hasattr(layer, "neurons") and hasattr(layer, "times") for layer in layers.values()):
        mend = "Give the whole result of the run: sl.plot.raster(result)."
        raise ParameterError("spikes", got="spike trains of a network", expected="0/1 of shape [T, N]", mend=mend)
    dense = {str(name): _as_spikes(value, str(name)) for name, value in layers.items()}
    if not dense:
        raise ParameterError("there is no layer to draw", expected="at least one array [T, N]")
    heights = [_row_height(s.shape[1]) for s in dense.values()]
    figure = new_figure(WIDTH, 0.7 + sum(heights) + 0.25 * len(heights))
    axes = figure.subplots(len(dense), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    longest = max(len(s) for s in dense.values())
    for index, (ax, (name, s), height) in enumerate(zip(axes, dense.items(), heights, strict=True)):
        style(ax, grid=False)
        step, neuron = np.nonzero(s)
        tall = float(np.clip(0.7 * 72 * height / max(s.shape[1], 1), 1.0, 7.0))
        mark = ax.plot(step * dt, neuron, "|", color=cycle(index), markersize=tall, markeredgewidth=1.0)
        mark[0].set_rasterized(len(step) > 20_000)  # keeps a PDF of a large network small
        ax.set_ylim(-0.5, max(s.shape[1] - 0.5, 0.5))
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        label(ax, ylabel="neuron", title=name)
    axes[-1].set_xlim(-0.5 * dt, (longest - 0.5) * dt)
    label(axes[-1], xlabel="time (ms)")
    headline(figure, title)
    return figure


def _as_spikes(values: Any, name: str) -> np.ndarray:
    array = as_array(values)
    if array.ndim != 2:
        mend = "Pick one sample of a batch first, as in spikes[:, 0]." if array.ndim == 3 else ""
        raise ShapeError(f"spikes {name}".strip(), got=array.shape, expected="(T, N)", mend=mend)
    if not (array >= 0).all():
        raise SpikeError("a raster needs spikes", got="negative values or NaN", expected="0 or 1")
    return array


def _row_height(neurons: int) -> float:
    return float(np.clip(0.035 * neurons, 0.7, 2.6))

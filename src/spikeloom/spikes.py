"""Two views of the same spikes: a dense ``[T, B, N...]`` array of 0 and 1, and a list of events.

The dense view is what layers compute on; events are what event cameras, hardware and sparse simulators
speak, and what a raster shows. Both directions are exact, and neither changes a spike without saying so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .errors import NonFiniteError, ParameterError, ShapeError, SpikeError

Indices = NDArray[np.int64]

_ROUNDING = 2.0**-50
"""Relative slack against the rounding of ``steps * dt``: a few units in the last place of a float64."""


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """Spikes as three index arrays of equal length, one entry per spike, and the shape they live in.

    ``time`` is in steps, ``batch`` is the sample, ``neuron`` counts through the axes after the batch in C
    order (``np.unravel_index(events.neuron, events.shape[2:])`` gives them back one by one). ``shape`` is the
    dense shape ``(T, B, N...)``; it keeps silent steps and neurons, so that the way back is exact. Any order
    of entries is allowed. The arrays are copied to int64 and made read-only.

    :raises ShapeError: index arrays that differ in length or are not 1-D, a shape without time and batch,
        or an index outside the shape.
    :raises ParameterError: indices that are not integers.

    >>> events = Events(time=[0, 3], batch=[0, 0], neuron=[1, 0], shape=(4, 1, 2))
    >>> len(events), events.time
    (2, array([0, 3]))
    """

    time: Indices
    batch: Indices
    neuron: Indices
    shape: tuple[int, ...]

    if TYPE_CHECKING:  # what may be passed is wider than what is kept

        def __init__(self, time: ArrayLike, batch: ArrayLike, neuron: ArrayLike, shape: Sequence[int]) -> None: ...

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.shape)
        if len(shape) < 2 or min(shape) < 0:
            mend = "Give the dense shape, time first, then batch."
            raise ShapeError("events need a dense shape", got=shape, expected="(T, B, N...)", mend=mend)
        object.__setattr__(self, "shape", shape)
        limits = {"time": shape[0], "batch": shape[1], "neuron": math.prod(shape[2:])}
        for name, limit in limits.items():
            object.__setattr__(self, name, _indices(getattr(self, name), name, limit))
        lengths = {name: len(getattr(self, name)) for name in limits}
        if len(set(lengths.values())) > 1:
            mend = "Each spike needs a time, a batch and a neuron index."
            raise ShapeError("index arrays differ in length", got=lengths, expected="one length", mend=mend)

    def __len__(self) -> int:
        return len(self.time)


def to_events(dense: ArrayLike, *, multiple: bool = False) -> Events:
    """The events of a dense array, sorted by time, then batch, then neuron.

    :param dense: ``[T, B, N...]`` of 0 and 1, of any real dtype.
    :param multiple: allow several spikes of one neuron in one step (whole numbers); each becomes an event.
    :raises SpikeError: values other than 0 and 1 (or other than whole counts).
    :raises ShapeError: fewer than two axes.

    >>> events = to_events([[[0, 1]], [[0, 0]], [[1, 0]]])
    >>> events.time, events.neuron, events.shape
    (array([0, 2]), array([1, 0]), (3, 1, 2))
    """
    array = np.asarray(dense)
    if array.ndim < 2:
        mend = "Add the missing axes, for instance dense[:, None]."
        raise ShapeError("spikes need time and batch", got=array.shape, expected="(T, B, N...)", mend=mend)
    _check_spikes(array, multiple)
    # Sizes are written out because reshape cannot infer -1 when another axis is empty.
    flat = array.reshape(*array.shape[:2], math.prod(array.shape[2:]))
    time, batch, neuron = np.nonzero(flat)
    if multiple:
        counts = flat[time, batch, neuron].astype(np.int64)
        time, batch, neuron = (np.repeat(index, counts) for index in (time, batch, neuron))
    return Events(time, batch, neuron, array.shape)


def to_dense(events: Events, dtype: DTypeLike = np.float32, *, multiple: bool = False) -> NDArray[np.generic]:
    """The dense array of events: ``to_dense(to_events(x), x.dtype)`` equals ``x``.

    :param dtype: of the result; the default is what layers compute in.
    :param multiple: count events that share step, batch and neuron, as happens when recorded events are put
        into long steps; without it such a collision raises, since a binary array would lose spikes.
    :raises SpikeError: a collision without ``multiple``, or a count that ``dtype`` cannot hold.

    >>> to_dense(Events(time=[0, 1], batch=[0, 0], neuron=[1, 0], shape=(2, 1, 2)), dtype=int).tolist()
    [[[0, 1]], [[1, 0]]]
    """
    neurons = math.prod(events.shape[2:])
    flat = (events.time * events.shape[1] + events.batch) * neurons + events.neuron
    dense = np.zeros(math.prod(events.shape), dtype=dtype)
    dense[flat] = 1
    if np.count_nonzero(dense) == len(events):
        return dense.reshape(events.shape)
    places, counts = np.unique(flat, return_counts=True)
    if not multiple:
        mend = "Pass multiple=True to count them, or use shorter steps."
        raise SpikeError("several events in one place", got=int(counts.max()), expected="at most 1", mend=mend)
    dense[places] = counts.astype(dense.dtype)
    if not np.array_equal(dense[places].astype(np.int64), counts):
        got, mend = f"{counts.max()} in {dense.dtype}", "Use a wider dtype, such as float32."
        raise SpikeError("counts do not fit the dtype", got=got, mend=mend)
    return dense.reshape(events.shape)


def steps_to_ms(steps: ArrayLike, dt: float) -> NDArray[np.float64]:
    """The time in ms at which a step begins, ``steps * dt``; ``dt`` in ms.

    :raises ParameterError: a step width that is not positive.

    >>> steps_to_ms([0, 3], dt=0.5)
    array([0. , 1.5])
    """
    return np.asarray(steps, dtype=np.float64) * _positive(dt)


def ms_to_steps(times: ArrayLike, dt: float) -> Indices:
    """The step ``floor(times / dt)`` in which a time falls; step k covers ``[k dt, (k + 1) dt)``, in ms.

    Quotients that miss a whole number only by rounding (0.3 / 0.1 = 2.9999999999999996) count as whole, so
    that ``ms_to_steps(steps_to_ms(k, dt), dt)`` is ``k`` for every ``dt``.

    :raises ParameterError: a step width that is not positive.
    :raises NonFiniteError: a time that is NaN or infinite.

    >>> ms_to_steps([0.0, 0.3, 0.39], dt=0.1)
    array([0, 3, 3])
    """
    quotient = np.asarray(times, dtype=np.float64) / _positive(dt)
    if not np.isfinite(quotient).all():
        raise NonFiniteError("event times", got="NaN or infinity", expected="finite times in ms")
    return np.floor(quotient + np.abs(quotient) * _ROUNDING).astype(np.int64)


def _indices(values: ArrayLike, name: str, limit: int) -> Indices:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ShapeError(f"event {name} indices", got=f"{array.ndim} axes", expected="one axis")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        mend = "Use ms_to_steps for times in ms." if name == "time" else ""
        raise ParameterError(f"event {name} indices", got=array.dtype, expected="integers", mend=mend)
    wrong = (array < 0) | (array >= limit)
    if wrong.any():
        mend = "Drop the event or enlarge the shape."
        got, expected = int(array[wrong][0]), f"0 to {limit - 1}"
        raise ShapeError(f"an event's {name} index is out of range", got=got, expected=expected, mend=mend)
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


def _check_spikes(array: NDArray[Any], multiple: bool) -> None:
    if multiple:
        valid = np.isfinite(array) & (array >= 0) & (array == np.floor(array))
        expected, mend = "whole numbers", ""
    else:
        valid = (array == 0) | (array == 1)
        expected, mend = "0 or 1", "Pass multiple=True where a neuron may spike several times in one step."
    if not valid.all():
        raise SpikeError("values are not spikes", got=array[~valid][0], expected=expected, mend=mend)


def _positive(dt: float) -> float:
    if not (math.isfinite(dt) and dt > 0):
        raise ParameterError("the step width dt", got=dt, expected="> 0 ms")
    return float(dt)

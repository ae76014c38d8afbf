"""Current-clamp recordings: the voltage of one neuron under a known current, in sweeps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DimensionError, FileError, NonFiniteError, ParameterError, ShapeError
from ..units import Quantity, Unit, ampere, ms, mV, nA, pA, plain, uA, uV, volt
from .abf import read_abf
from .npz import read_npz

Floats = NDArray[np.float64]

_VOLTAGES = {"V": volt, "mV": mV, "uV": uV}
_CURRENTS = {"A": ampere, "uA": uA, "nA": nA, "pA": pA}


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """Voltage ``v`` in mV and injected ``current`` in pA, both ``[sweeps, T]``, sampled every ``dt`` ms.

    ``v[:, k]`` is the voltage at time ``k dt``, ``current[:, k]`` flows from then until ``(k + 1) dt``. One sweep may
    be given as ``[T]``, and values with a unit are converted. A spike is an upward crossing of ``spike_level`` mV,
    stamped with the first sample at or above it. The arrays are copied and made read-only.

    A simulated neuron that is reset shows no peak in its ``v``, so draw one first: ``v[trace.fired[:-1]] = 30.0``.

    Raises ShapeError when the two differ in shape, NonFiniteError for NaN or infinity, DimensionError for values that
    carry another unit, ParameterError for an unusable ``dt`` or ``spike_level``.

    >>> recording = Recording([-65.0, -20.0, 30.0, -60.0], [0.0, 50.0, 50.0, 0.0], dt=0.5)
    >>> recording.spike_times
    [array([1.])]
    """

    v: Floats
    current: Floats
    dt: float
    spike_level: float = 0.0

    if TYPE_CHECKING:  # what may be passed is wider than what is kept

        def __init__(self, v: Any, current: Any, dt: float | Quantity, spike_level: float | Quantity = 0.0) -> None: ...

    def __post_init__(self) -> None:
        for name, unit in (("v", mV), ("current", pA)):
            object.__setattr__(self, name, _sweeps(name, getattr(self, name), unit))
        if self.v.shape != self.current.shape:
            got = f"{list(self.v.shape)} and {list(self.current.shape)}"
            mend = "Each sweep needs its voltage and the current that was injected, sample by sample."
            raise ShapeError("v and current differ in shape", got=got, expected="[sweeps, T] for both", mend=mend)
        for name, unit in (("dt", ms), ("spike_level", mV)):
            value = plain(getattr(self, name), unit, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
                raise ParameterError(f"{name} of a recording", got=value, expected=f"a finite number in {unit}")
            object.__setattr__(self, name, float(value))
        if self.dt <= 0:
            raise ParameterError("dt of a recording", got=f"{self.dt:g} ms", expected="> 0 ms")

    def __len__(self) -> int:
        """The number of sweeps."""
        return len(self.v)

    @property
    def duration(self) -> float:
        """Length of a sweep in ms."""
        return self.v.shape[1] * self.dt

    @property
    def spikes(self) -> NDArray[np.bool_]:
        """``[sweeps, T]``: true at the first sample of each upward crossing of ``spike_level``."""
        found = np.zeros(self.v.shape, dtype=bool)
        found[:, 1:] = (self.v[:, :-1] < self.spike_level) & (self.v[:, 1:] >= self.spike_level)
        return found

    @property
    def spike_times(self) -> list[Floats]:
        """Spike times of each sweep in ms."""
        return [np.asarray(np.flatnonzero(sweep) * self.dt, np.float64) for sweep in self.spikes]

    def sweeps(self, chosen: Sequence[int]) -> Recording:
        """The sweeps with these numbers, in this order, such as those to fit and those to hold out.

        Raises ParameterError for numbers that are no sweeps, that come twice, or for none at all.

        >>> two = Recording([[-65.0, -64.0], [-65.0, -63.0]], [[0.0, 0.0], [1.0, 1.0]], dt=0.1)
        >>> two.sweeps([1]).current
        array([[1., 1.]])
        """
        numbers = np.asarray(chosen)
        if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
            raise ParameterError("numbers of sweeps", got=chosen, expected="a list of whole numbers, at least one")
        if numbers.min() < 0 or numbers.max() >= len(self) or len(set(numbers.tolist())) < len(numbers):
            got, expected = numbers.tolist(), f"different numbers from 0 to {len(self) - 1}"
            raise ParameterError("numbers of sweeps", got=got, expected=expected)
        return dataclasses.replace(self, v=self.v[numbers], current=self.current[numbers])

    def resampled(self, dt: float | Quantity) -> Recording:
        """The recording in steps of ``dt`` ms, a whole multiple n of its own; samples beyond the last whole step drop.

        The current of a step is the mean over its n samples, which keeps the charge. The voltage is low-passed before
        it is picked: ``v[k n]`` is the mean of its neighbours weighted with ``n - |j|`` for j from 1 - n to n - 1, a
        filter without delay that is zero at every multiple of the new sampling rate. It lowers and widens spikes,
        so keep ``dt`` well below their width.

        >>> Recording([0.0, 4.0, 0.0, 0.0], [1.0, 3.0, 0.0, 0.0], dt=0.05).resampled(0.1).current
        array([[2., 0.]])
        """
        step = plain(dt, ms, "dt")
        if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 < step < math.inf:
            raise ParameterError("dt", got=step, expected="a finite time > 0 in ms")
        n = round(step / self.dt)
        if n < 1 or abs(n * self.dt - step) > 1e-6 * step:
            expected = f"a whole multiple of the recording's {self.dt:g} ms"
            raise ParameterError("dt of a resampled recording", got=f"{step:g} ms", expected=expected)
        steps = self.v.shape[1] // n
        if steps == 0:
            raise ParameterError("dt is longer than a sweep", got=f"{step:g} ms", expected=f"<= {self.duration:g} ms")
        if n == 1:
            return self
        current = self.current[:, : steps * n].reshape(len(self), steps, n).mean(axis=2)
        padded = np.pad(self.v, ((0, 0), (n - 1, n - 1)), mode="edge")
        weights = (n - np.abs(np.arange(1 - n, n))) / n**2
        v = sum(w * padded[:, j : j + (steps - 1) * n + 1 : n] for j, w in enumerate(weights))
        return dataclasses.replace(self, v=v, current=current, dt=float(step))

    def __repr__(self) -> str:
        return f"Recording({len(self)} sweeps x {self.duration:g} ms, dt={self.dt:g}, {int(self.spikes.sum())} spikes)"


def load_recording(path: str | Path, *, channel: int | None = None, spike_level: float | Quantity = 0.0) -> Recording:
    """Read a current-clamp recording from an Axon .abf (version 2) or an .npz file.

    Of an ABF2 file, the voltage is recorded ``channel`` (default: the first one in volts), and the current the command
    of the output with the same number: constant, or an epoch table of steps and ramps.

    An .npz file holds ``v_mV`` and ``i_command_pA`` ``[sweeps, T]`` and the sampling rate ``rate_hz``. The ends of the
    names are units: V, mV, uV for a voltage; A, uA, nA, pA for a current. Nothing in it can run code.

    Units that the file names are converted; a missing channel, a quantity of another kind (a voltage clamp, say) and
    damage raise :class:`FileError` or :class:`DimensionError`.
    """
    path = Path(path)
    kinds = {".abf": _from_abf, ".npz": _from_npz}
    if path.suffix.lower() not in kinds:
        raise FileError(f"cannot tell the format of {path}", got=path.suffix or "no ending", expected=".abf or .npz")
    v, current, dt = kinds[path.suffix.lower()](path, channel)
    return Recording(v, current, dt, spike_level)


def _from_abf(path: Path, channel: int | None) -> tuple[Quantity, Quantity, float]:
    file = read_abf(path)
    units = [signal.unit for signal in file.channels]
    if channel is None:
        found = [k for k, unit in enumerate(units) if unit in _VOLTAGES]
        if not found:
            mend = "A current-clamp recording has a voltage channel; one in pA alone is a voltage clamp."
            raise FileError(f"{path} holds no voltage", got=units, expected="a channel in mV, V or uV", mend=mend)
        channel = found[0]
    if not 0 <= channel < len(units):
        raise FileError(f"{path} has no channel {channel}", expected=f"0 to {len(units) - 1}")
    v, command = file.channels[channel], file.command(channel)
    return (
        Quantity(v.values, _unit(f"{path}: channel {channel}", v.unit, _VOLTAGES)),
        Quantity(command.values, _unit(f"{path}: the command of output {channel}", command.unit, _CURRENTS)),
        file.dt,
    )


def _from_npz(path: Path, channel: int | None) -> tuple[Quantity, Quantity, float]:
    if channel is not None:
        raise ParameterError("channel of an .npz file", got=channel, expected="None: it holds one")
    arrays = read_npz(path)
    v, current = (_named(path, arrays, start) for start in ("v_", "i_command_"))
    if "rate_hz" not in arrays:
        raise FileError(f"{path} lacks the sampling rate", got=sorted(arrays), expected="rate_hz")
    rate = arrays["rate_hz"]
    if rate.size != 1 or not 0 < float(rate.reshape(())) < math.inf:
        raise FileError(f"{path}: rate_hz", got=rate, expected="one finite number > 0")
    kinds = ((v, _VOLTAGES), (current, _CURRENTS))
    found = [Quantity(arrays[name], _unit(f"{path}: {name}", name.rsplit("_", 1)[1], kind)) for name, kind in kinds]
    return found[0], found[1], 1000.0 / float(rate.reshape(()))


def _named(path: Path, arrays: dict[str, np.ndarray], start: str) -> str:
    names = [name for name in arrays if name.startswith(start)]
    if len(names) != 1:
        expected = f"one array called {start} and its unit"
        raise FileError(f"{path} lacks a channel", got=sorted(arrays), expected=expected)
    return names[0]


def _unit(what: str, text: str, known: dict[str, Unit]) -> Unit:
    if text not in known:
        raise DimensionError(f"{what} has another unit", got=text or "none", expected=" or ".join(known))
    return known[text]


def _sweeps(name: str, value: object, unit: Unit) -> Floats:
    """``value`` as a read-only array ``[sweeps, T]`` in ``unit``."""
    given = plain(value, unit, name)
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        mend = "Sweeps of different lengths have to be cut or fitted apart."
        raise ShapeError(name, got="no rectangle of numbers", expected="[sweeps, T]", mend=mend) from None
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.size == 0:
        raise ShapeError(name, got=f"shape {list(array.shape)}", expected="[sweeps, T] or [T], not empty")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        got = f"{array[tuple(bad[0])]} in sweep {bad[0][0]}, sample {bad[0][1]} ({len(bad)} in all)"
        raise NonFiniteError(f"{name} of a recording is not finite", got=got, expected=f"finite numbers in {unit}")
    array.setflags(write=False)
    return array


__all__ = ["Recording", "load_recording"]

"""Izhikevich's published experiments: the cell types of 2003 and the twenty firing patterns of 2004."""

from __future__ import annotations

import numpy as np

from ..stimuli import Ramp, Steps, Stimulus, pulses
from .presets import Preset

_2003 = "Izhikevich 2003, IEEE Trans. Neural Netw. 14:1569-1572, fig. 2"
_2004 = "Izhikevich 2004, IEEE Trans. Neural Netw. 15:1063-1070, fig. 1 and the author's script for it"


def _cell(summary: str, a: float, b: float, c: float, d: float, current: float | Stimulus = 10.0) -> Preset:
    """A cell type. The paper names no scheme for its figure, so these runs are accurate ones."""
    stimulus = current if isinstance(current, Stimulus) else Steps((20.0, current))
    return Preset(summary, {"a": a, "b": b, "c": c, "d": d}, _2003, stimulus, 250.0, 0.05, _rest(b, stimulus))


def _rest(b: float, stimulus: Stimulus) -> dict[str, float]:
    """The lower root of ``0.04 v² + (5 - b) v + 140 + i = 0``, where the stable resting point lies."""
    slope, constant = 5.0 - b, 140.0 + float(stimulus(np.zeros(1))[0])
    v = (-slope - (slope * slope - 0.16 * constant) ** 0.5) / 0.08
    return {"v": v, "u": b * v}


CELL_TYPES = {
    "regular-spiking": _cell("excitatory cortical cells: spikes further and further apart", 0.02, 0.2, -65.0, 8.0),
    "intrinsically-bursting": _cell("a burst at the onset, then single spikes", 0.02, 0.2, -55.0, 4.0),
    "chattering": _cell("bursts of closely spaced spikes, over and over", 0.02, 0.2, -50.0, 2.0),
    "fast-spiking": _cell("inhibitory cortical cells: fast, without adaptation", 0.1, 0.2, -65.0, 2.0),
    "low-threshold-spiking": _cell("inhibitory cells with a low threshold and adaptation", 0.02, 0.25, -65.0, 2.0),
    "thalamo-cortical": _cell(
        "a burst on release from hyperpolarisation, then tonic firing",
        0.02, 0.25, -65.0, 0.05, Steps((50.0, 0.0), (160.0, 1.5), before=-25.0),
    ),
    "resonator-cell": _cell(
        "a short pulse switches from rest to firing that lasts",
        0.1, 0.26, -65.0, 2.0, pulses((60.0, 65.0), amplitude=10.0, baseline=0.2),
    ),
}  # fmt: skip


def _pattern(
    summary: str, abcd: tuple[float, float, float, float], current: Stimulus, duration: float, v: float = -70.0,
    *, dt: float = 0.25, u: float | None = None, **others: float,
) -> Preset:  # fmt: skip
    """A pattern of 2004, given by the initial values and the step of the author's script.

    The script's loop at time t first updates the states with the input at t, then looks for a spike at t: an update
    is a step that *ends* at t, which is how spikes are stamped here too. Hence

    - the first update, at t = 0, lies before our time 0, and is done here;
    - a stimulus here is the script's, dt earlier: our step that begins at t - dt has the script's input at t. What
      the script holds within the open interval (10, 15) begins here at 10 and ends at 15 - dt.
    """
    a, b, c, d = abcd
    values = {"a": a, "b": b, "c": c, "d": d, **others}
    started = b * v if u is None else u
    k1, k0, v_u, decay = (others.get(n, standard) for n, standard in _STANDARD.items())
    v = v + dt * (0.04 * v * v + k1 * v + k0 - started + float(current(np.array([-dt]))[0]))
    state = {"v": v, "u": started + dt * a * (b * (v - v_u) - decay * started)}
    return Preset(summary, values, _2004, current, duration, dt, state, "SequentialEuler")


_STANDARD = {"k1": 5.0, "k0": 140.0, "v_u": 0.0, "decay": 1.0}
_CLASS_1 = {"k1": 4.1, "k0": 108.0}
_DOUBLETS = ((40.0, 43.75), (60.0, 63.75), (280.0, 283.75), (320.0, 323.75))
_PAIRS = ((9.0, 11.0), (14.0, 16.0), (70.0, 71.75), (80.0, 81.75))
_DIP = Steps((49.5, 75.0), (250.0, 80.0), before=80.0)

PATTERNS = {
    "tonic-spiking": _pattern(
        "A: fires as long as the input lasts", (0.02, 0.2, -65.0, 6.0), Steps((10.0, 14.0)), 100.0
    ),
    "phasic-spiking": _pattern(
        "B: one spike at the onset", (0.02, 0.25, -65.0, 6.0), Steps((20.0, 0.5)), 200.0, -64.0
    ),
    "tonic-bursting": _pattern(
        "C: bursts as long as the input lasts", (0.02, 0.2, -50.0, 2.0), Steps((22.0, 15.0)), 220.0
    ),
    "phasic-bursting": _pattern(
        "D: one burst at the onset", (0.02, 0.25, -55.0, 0.05), Steps((20.0, 0.6)), 200.0, -64.0, dt=0.2
    ),
    "mixed-mode": _pattern(
        "E: a burst at the onset, then single spikes", (0.02, 0.2, -55.0, 4.0), Steps((16.0, 10.0)), 160.0
    ),
    "spike-frequency-adaptation": _pattern(
        "F: the rate falls while the input lasts", (0.01, 0.2, -65.0, 8.0), Steps((8.5, 30.0)), 85.0
    ),
    "class-1-excitable": _pattern(
        "G: begins at low rates under a ramp", (0.02, -0.1, -55.0, 6.0), Ramp(0.075, start=29.75), 300.0, -60.0,
        **_CLASS_1,
    ),
    "class-2-excitable": _pattern(
        "H: begins at a high rate under a ramp", (0.2, 0.26, -65.0, 0.0),
        Steps(before=-0.5) + Ramp(0.015, start=29.75), 300.0, -64.0,
    ),
    "spike-latency": _pattern(
        "I: a spike long after the pulse", (0.02, 0.2, -65.0, 6.0), pulses((10.0, 12.8), amplitude=7.04), 100.0, dt=0.2
    ),
    "subthreshold-oscillations": _pattern(
        "J: rings after a spike", (0.05, 0.26, -60.0, 0.0), pulses((20.0, 24.75), amplitude=2.0), 200.0, -62.0
    ),
    "resonator": _pattern(
        "K: fires at the pair of pulses one period of its own apart", (0.1, 0.26, -60.0, -1.0),
        pulses(*_DOUBLETS, amplitude=0.65), 400.0, -62.0,
    ),
    "integrator": _pattern(
        "L: fires at the pair of pulses close together", (0.02, -0.1, -55.0, 6.0), pulses(*_PAIRS, amplitude=9.0),
        100.0, -60.0, **_CLASS_1,
    ),
    "rebound-spike": _pattern(
        "M: a spike after inhibition", (0.03, 0.25, -60.0, 4.0), pulses((20.0, 24.8), amplitude=-15.0), 200.0, -64.0,
        dt=0.2,
    ),
    "rebound-burst": _pattern(
        "N: a burst after inhibition", (0.03, 0.25, -52.0, 0.0), pulses((20.0, 24.8), amplitude=-15.0), 200.0, -64.0,
        dt=0.2,
    ),
    "threshold-variability": _pattern(
        "O: the same pulse fires only after inhibition", (0.03, 0.25, -60.0, 4.0),
        Steps((10.0, 1.0), (14.75, 0.0), (70.0, -6.0), (74.75, 0.0), (80.0, 1.0), (84.75, 0.0)), 100.0, -64.0,
    ),
    "bistability": _pattern(
        "P: one pulse switches firing on, another off", (0.1, 0.26, -60.0, 0.0),
        pulses((37.5, 42.25), (216.0, 220.75), amplitude=1.24, baseline=0.24), 300.0, -61.0,
    ),
    "depolarising-after-potential": _pattern(
        "Q: a hump after the spike", (1.0, 0.2, -60.0, -21.0), pulses((9.0, 10.9), amplitude=20.0), 50.0, dt=0.1
    ),
    "accommodation": _pattern(
        "R: fires at a steep ramp, not at a slow one that climbs higher", (0.02, 1.0, -55.0, 4.0),
        Ramp(0.04, start=-0.5, stop=199.5) + Ramp(0.32, start=299.5, stop=312.0), 400.0, -65.0, dt=0.5, u=-16.0,
        v_u=-65.0, decay=0.0,
    ),
    "inhibition-induced-spiking": _pattern(
        "S: fires while it is inhibited", (-0.02, -1.0, -60.0, 8.0), _DIP, 350.0, -63.8, dt=0.5
    ),
    "inhibition-induced-bursting": _pattern(
        "T: bursts while it is inhibited", (-0.026, -1.0, -45.0, -2.0), _DIP, 350.0, -63.8, dt=0.5
    ),
}  # fmt: skip


__all__ = ["CELL_TYPES", "PATTERNS"]

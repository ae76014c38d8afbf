"""Channels, synapses and noise of one's own: what is wrong with one is said when it is put into a neuron."""

from __future__ import annotations

import pytest

import spikeloom as sl
from spikeloom.errors import DimensionError, ModelError, ParameterError
from spikeloom.models.mechanism import Mechanism

CONDUCTANCE, CURRENT = sl.units.membrane_conductance, sl.units.membrane_current


def made(base: type, body: dict, changes: dict) -> type:
    """A class whose body has some parts replaced (None: left out)."""
    return type("Mine", (base,), {name: part for name, part in {**body, **changes}.items() if part is not None})


def cell(**changes) -> sl.NeuronModel:
    """A membrane with a leak and a channel of one's own."""
    body = {
        "g": sl.param(1.0, CONDUCTANCE, low=0.0), "e": sl.param(-70.0, sl.mV), "m": sl.gate(),
        "gates": lambda self, v: {"m": sl.Relaxation(sl.math.sigmoid((v + 50.0) / 10.0), 3.0)},
        "current": lambda self, s, v: self.g * s.m * (v - self.e),
    }  # fmt: skip
    channel = made(sl.Channel, body, changes)()
    return type("Cell", (sl.Membrane,), {"leak": sl.Leak(g=0.1, e=-65.0), "mine": channel})()


def neuron(**changes) -> sl.NeuronModel:
    """A LIF with a noisy synapse of one's own."""
    body = {
        "tau": sl.param(5.0, sl.ms, low=0.0), "y": sl.state(0.0, CURRENT), "receives": CURRENT,
        "derivative": lambda self, s, v, x: {"y": -s.y / self.tau}, "inward": lambda self, s, v, x: s.y,
        "arrive": lambda self, s, amount: {"y": s.y + amount}, "noise": lambda self, s: {"y": 0.1},
    }  # fmt: skip
    return sl.With(sl.LIF(tau=5.0), mine=made(Mechanism, body, changes)())


def test_channels_of_ones_own_keep_the_contract() -> None:
    drive = {"i": 30.0, "v": 2.0}
    assert "cpu equals the reference" in sl.check_model(cell(), into=drive, solver=sl.solvers.ForwardEuler())


def test_synapses_of_ones_own_keep_the_contract() -> None:
    model = neuron()
    assert model.random == ("normal.y_mine",)
    assert set(model.targets) == {"v", "y_mine", "mine"}
    assert "cpu equals the reference" in sl.check_model(model)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"gates": None}, ModelError, r"Mine.gates: got \[\], expected one entry for each of \['m'\]"),
        ({"gates": lambda self, v: {"n": sl.Rates(1.0, 1.0)}}, ModelError, r"Mine.gates: got \['n'\], expected"),
        ({"gates": lambda self, v: None}, ModelError, "Mine.gates: got NoneType"),
        ({"gates": lambda self, v: {"m": 0.5}}, ModelError, r"Mine.gates: m: got a float, expected sl.Rates\(...\) or"),
        ({"gates": lambda self, v: {"m": sl.Relaxation(v, 3.0)}}, DimensionError, "cannot subtract mV and 1"),
        ({"current": lambda self, s, v: None}, ModelError, "Mine.current: got None, expected the current out of"),
        ({"current": lambda self, s, v: self.g * s.m}, DimensionError, "cannot subtract uA/cm2 and mS/cm2"),
        ({"current": lambda self, s, v: self.g * s.q}, ModelError, "uses 'q', which is not declared. Known: m"),
        ({"current": lambda self, s, v: self.g * self.m}, ModelError, "got self.m. Write s.m in an equation"),
        ({"v": sl.state(0.0, sl.mV)}, ModelError, "mine=Mine declares a state v: .*the membrane's voltage"),
    ],
)
def test_wrong_channels(changes, error, words: str) -> None:
    with pytest.raises(error, match=words):
        cell(**changes)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"derivative": lambda self, s, v, x: {"z": s.y}}, ModelError, "Mine.derivative names an unknown state: got z"),
        ({"derivative": lambda self, s, v, x: {}}, ModelError, r"got \['v'\], expected exactly \['v', 'y_mine'\]"),
        ({"derivative": lambda self, s, v, x: None}, ModelError, "Mine.derivative: got NoneType, expected a dict"),
        ({"derivative": lambda self, s, v, x: {"y": s.y}}, DimensionError, "dy_mine/dt has the wrong unit: got pA"),
        ({"arrive": lambda self, s, a: {"z": a}}, ModelError, r"Mine.arrive names an unknown state: got z, .*\['y'\]"),
        ({"arrive": lambda self, s, a: None}, ModelError, "Mine.arrive: got NoneType, expected a dict of states"),
        ({"arrive": lambda self, s, a: {"y": a * s.y}}, DimensionError, "arrive: y_mine has the wrong unit"),
        ({"arrive": None}, ModelError, "mine=Mine receives spikes: got no arrive"),
        ({"receives": None}, ModelError, "says what a spike does, but receives none. Write receives ="),
        ({"receives": "pA"}, ModelError, "mine=Mine receives spikes: got 'pA', expected a unit"),
        ({"inward": lambda self, s, v, x: s.y * v}, DimensionError, r"cannot add pA and pA\*mV"),
        ({"initial": lambda self, v: {"z": 1.0}}, ModelError, "Mine.initial names an unknown state: got z"),
        ({"noise": lambda self, s: {"z": 1.0}}, ModelError, "Mine.noise names an unknown state: got z"),
        ({"noise": lambda self, s: {"y": s.y}}, DimensionError, r"noise: y_mine has the wrong unit: got pA .*\^1/2"),
        ({"chance": sl.draw("uniform")}, ModelError, "declares a draw, a timer or an integral"),
        ({"left": sl.timer()}, ModelError, "declares a draw, a timer or an integral"),
    ],
)
def test_wrong_synapses(changes, error, words: str) -> None:
    with pytest.raises(error, match=words):
        neuron(**changes)


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ({"v": sl.Leak()}, ModelError, "Bad is no membrane: got i of type Input, v of type Leak, expected an input i"),
        ({"i": sl.Leak()}, ModelError, "Bad is no membrane: got i of type Leak"),
        ({"c": sl.Leak()}, ModelError, "gives the declared name c a plain value"),
    ],
)
def test_wrong_membranes(body, error, words: str) -> None:
    with pytest.raises(error, match=words):
        type("Bad", (sl.Membrane,), body)


@pytest.mark.parametrize("name", ["i", "v", "tau"])
def test_a_mechanism_does_not_take_a_name_of_the_neuron(name: str) -> None:
    with pytest.raises(ModelError, match=rf"With declares what LIF\(\) has already: got \['{name}'\]"):
        sl.With(sl.LIF(), **{name: sl.Exponential()})


def test_wrappers_of_one_kind_do_not_nest() -> None:
    for again in (lambda: sl.Noisy(sl.Noisy(sl.LIF())), lambda: sl.EscapeRate(sl.EscapeRate(sl.LIF()))):
        with pytest.raises(ModelError, match=r"declares what .* has already"):
            again()
    with pytest.raises(ParameterError, match="needs a neuron model"):
        sl.With(sl.Exponential(), exc=sl.Exponential())

"""L0: units, quantities and the wording of errors."""

from __future__ import annotations

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import spikeloom as sl
from spikeloom import errors, units
from spikeloom.errors import DimensionError, SpikeloomError, did_you_mean
from spikeloom.units import Quantity, Unit, one, plain

NAMED = {name: value for name, value in vars(units).items() if isinstance(value, Unit)}
any_unit = st.sampled_from(sorted(NAMED)).map(NAMED.get)


def u(text: str) -> Unit:
    """A unit from a formula in the names of the module."""
    return eval(text, dict(NAMED))


# -- algebra


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("nS * mV", "pA"), ("pF / nS", "ms"), ("pA * ms / mV", "pF"), ("mV / pA", "Gohm"), ("Gohm * pF", "ms"),
        ("pA / pF", "mV / ms"), ("one / second", "Hz"), ("one / ms", "kHz"), ("siemens", "one / ohm"),
        ("mS_per_cm2 * mV", "uA_per_cm2"), ("uF_per_cm2 * mV / ms", "uA_per_cm2"),
        ("uF_per_cm2 / mS_per_cm2", "ms"), ("uF / cm2", "uF_per_cm2"), ("uA / cm2", "uA_per_cm2"),
        ("Mohm * nA", "mV"), ("uS * mV", "nA"), ("nF / uS", "ms"), ("cm * cm", "cm2"), ("mM", "mol / metre**3"),
    ],
)  # fmt: skip
def test_products_of_units_are_coherent(left: str, right: str) -> None:
    assert u(left).same_as(u(right))


@pytest.mark.parametrize(("left", "right"), [("nS * mV", "nA"), ("uA_per_cm2", "uA"), ("mV", "volt"), ("ms", "one")])
def test_units_of_another_dimension_or_scale_differ(left: str, right: str) -> None:
    assert not u(left).same_as(u(right))


@given(any_unit, any_unit, any_unit)
def test_unit_algebra(a: Unit, b: Unit, c: Unit) -> None:
    assert ((a * b) * c).same_as(a * (b * c))
    assert (a * b).same_as(b * a)
    assert (a / b).same_as(one / (b / a))
    assert (a * b / b).same_as(a)
    assert (a**2).same_as(a * a)
    assert ((a**3) ** Fraction(1, 3)).same_as(a)
    assert (a**0).same_as(one)


def test_the_name_of_a_unit_does_not_decide_on_equality() -> None:
    assert units.nS * units.mV == units.pA
    assert hash(units.nS * units.mV) == hash(units.pA)
    assert copy.deepcopy(units.mV) == pickle.loads(pickle.dumps(units.mV)) == units.mV


@pytest.mark.parametrize(
    ("formula", "spelled"),
    [
        ("mV", "mV"), ("nS * mV", "nS*mV"), ("mV / ms", "mV/ms"), ("one / ms", "1/ms"),
        ("mV / (ms * nS)", "mV/(ms*nS)"), ("ms**2", "(ms)^2"), ("one * mV", "mV"), ("uA_per_cm2", "uA/cm2"),
        ("uA_per_cm2 / mV", "uA/cm2/mV"), ("mV * mV", "mV*mV"),
    ],
)  # fmt: skip
def test_derived_units_are_spelled(formula: str, spelled: str) -> None:
    assert str(u(formula)) == spelled


def test_a_unit_without_a_name_is_spelled_from_the_base() -> None:
    unit = units.nS * units.mV / units.ms
    assert str(Unit(unit.dimension, unit.decade)) == "ms^-1 pA"
    assert str(Unit(units.second.dimension, Fraction(0))) == "10^3 ms"
    assert str(Unit(one.dimension, Fraction(0))) == "1"


def test_units_are_multiplied_by_units_only_on_the_right() -> None:
    for wrong in (lambda: units.ms * 20, lambda: units.ms / 2, lambda: (3 * units.ms) / 2, lambda: units.ms * "a"):
        with pytest.raises(TypeError):
            wrong()


# -- conversion


@pytest.mark.parametrize(
    ("value", "of", "to", "expected"),
    [
        (0.02, "second", "ms", 20.0), (20.0, "ms", "second", 0.02), (1.0, "nA", "pA", 1000.0), (3.0, "uV", "mV", 0.003),
        (1.0, "ampere", "pA", 1e12), (7.0, "pA", "ampere", 7e-12), (5.0, "Hz", "kHz", 0.005),
        (40.0, "Mohm", "Gohm", 0.04), (1.0, "farad", "pF", 1e12), (250.0, "pF", "nF", 0.25),
        (2.0, "um", "cm", 2e-4), (1.0, "uM", "mM", 1e-3), (3.0, "uA_per_cm2", "nA / cm2", 3000.0),
        (1.0, "uA_per_cm2", "pA / um**2", 0.01), (10.0, "mS_per_cm2", "siemens / metre**2", 100.0),
    ],
)  # fmt: skip
def test_conversions_are_correctly_rounded(value: float, of: str, to: str, expected: float) -> None:
    # Exact equality: each expected number is the closest one to the true quotient.
    assert (value * u(of)).to(u(to)) == expected


@given(st.floats(1e-6, 1e6), any_unit, st.integers(-15, 15))
def test_conversion_there_and_back(value: float, unit: Unit, decades: int) -> None:
    other = Unit(unit.dimension, unit.decade + decades)
    there = (value * unit).to(other)
    assert there == pytest.approx(value * 10.0**-decades, rel=1e-15)
    assert (there * other).to(unit) == pytest.approx(value, rel=1e-15)


def test_arrays_lists_and_tensors_are_values_too() -> None:
    array = np.array([1.0, 2.0]) * units.second
    assert isinstance(array, Quantity)
    np.testing.assert_array_equal(array.to(units.ms), [1000.0, 2000.0])
    assert ([1.0, [2.0, 3.0]] * units.second).to(units.ms) == [1000.0, [2000.0, 3000.0]]
    assert ([1000.0] * units.ms).to(units.second) == [1.0]
    assert torch.equal((torch.tensor([2.0]) * units.second).to(units.ms), torch.tensor([2000.0]))
    assert (np.float32(2.0) * units.second).to(units.ms) == 2000.0


def test_quantities_take_further_units_and_signs() -> None:
    assert (3 * units.nS * units.mV).to(units.pA) == 3
    assert (3 * units.mV / units.ms).to(units.volt / units.second) == 3
    assert (2.0 * units.mV * units.pF / units.ms).to(units.nA) == 0.002
    assert (-5 * units.mV).to(units.mV) == (-(5 * units.mV)).to(units.mV) == -5


# -- errors


def test_wrong_dimension_says_what_was_got_and_expected() -> None:
    with pytest.raises(DimensionError) as caught:
        (20 * units.nS).to(units.ms)
    assert str(caught.value) == "a quantity has the wrong dimension: got nS, expected ms"
    assert isinstance(caught.value, TypeError)


def test_wrong_dimension_at_the_door_names_the_parameter_and_the_way_out() -> None:
    with pytest.raises(DimensionError) as caught:
        sl.LIF(tau=20 * sl.nS)
    assert "tau" in caught.value.what
    assert (str(caught.value.got), str(caught.value.expected)) == ("nS", "ms")
    assert "tau" in caught.value.mend
    assert "ms" in caught.value.mend


@pytest.mark.parametrize(
    "call",
    [
        lambda: sl.simulate(sl.LIF(), current=1.0 * sl.nS, duration=1.0),
        lambda: sl.simulate(sl.LIF(), current=1.0, duration=1.0 * sl.mV),
        lambda: sl.simulate(sl.LIF(), current=1.0, duration=1.0, dt=1.0 * sl.mV),
        lambda: sl.simulate(sl.LIF(), current=1.0, duration=1.0, state={"v": 1.0 * sl.ms}),
        lambda: sl.simulate(sl.HodgkinHuxley(), current=1.0 * sl.pA, duration=1.0),
        lambda: sl.param(1.0 * sl.nS, sl.ms),
        lambda: sl.state(1.0 * sl.nS, sl.mV),
        lambda: sl.nn.Neuron(sl.LIF(), dt=1.0 * sl.mV),
    ],
)
def test_every_door_checks_dimensions(call) -> None:
    with pytest.raises(DimensionError, match="wrong dimension"):
        call()


def test_quantities_are_converted_at_every_door() -> None:
    assert sl.LIF(tau=0.02 * sl.second).tau == 20.0
    assert sl.LIF(tau=np.array([0.01, 0.02]) * sl.second).tau.tolist() == [10.0, 20.0]
    assert sl.LIF(tau=[0.01, 0.02] * sl.second).tau.tolist() == [10.0, 20.0]
    lif = sl.LIF(tau=10.0, v_threshold=15.0)
    given_units = sl.simulate(
        lif, current=0.02 * sl.nA, duration=0.05 * sl.second, dt=100 * units.us, state={"v": 0.003 * units.volt}
    )
    bare = sl.simulate(lif, current=20.0, duration=50.0, dt=0.1, state={"v": 3.0})
    np.testing.assert_array_equal(given_units["v"], bare["v"])


def test_plain_numbers_mean_the_declared_unit() -> None:
    assert plain(3.0, units.ms, "tau") == 3.0
    assert plain(3.0 * units.second, units.ms, "tau") == 3000.0


def test_errors_carry_their_parts_and_survive_a_pickle() -> None:
    error = DimensionError("tau", got=1.0, expected="> 2", mend="Mend it.")
    assert str(error) == "tau: got 1.0, expected > 2. Mend it."
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is DimensionError
    assert (again.what, again.got, again.expected, again.mend) == ("tau", 1.0, "> 2", "Mend it.")
    assert str(SpikeloomError("only this")) == "only this"
    assert str(SpikeloomError("zero counts", got=0)) == "zero counts: got 0"


def test_every_error_is_one_of_the_family_and_a_builtin_too() -> None:
    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert DimensionError in found
    for error in found:
        assert error is SpikeloomError or (error.__bases__[0] is SpikeloomError and len(error.__bases__) == 2)


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("tua", ["tau", "v"], "Did you mean tau?"),
        ("v_tresh", ["v_threshold", "v_reset", "tau"], "Did you mean v_threshold"),
        ("liff", ["alif", "li", "lif"], "Did you mean lif?"),
        ("hodgkin", ["hodgkin-huxley", "hh"], "Did you mean hodgkin-huxley?"),
        ("j", ["i"], "Known: i."),
        ("foo", ["if", "lif"], "Known: if, lif."),
        ("xyz", ["b", "a"], "Known: a, b."),
        ("xyz", [], "Known: none."),
    ],
)
def test_near_names_are_offered(name: str, known: list[str], said: str) -> None:
    assert did_you_mean(name, known).startswith(said)


@pytest.mark.parametrize(
    ("value", "finite"), [(1.0, True), (0, True), (math.nan, False), (-math.inf, False), (True, False)]
)
def test_is_finite(value: float, finite: bool) -> None:
    assert units.is_finite(value) is finite

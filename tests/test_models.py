"""L2: models as values: what they declare, what they refuse, how they compare, copy and nest."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import DimensionError, ModelError, ParameterError
from spikeloom.lang import math as m
from spikeloom.models.base import NeuronModel
from spikeloom.models.wrapper import Wrapper
from spikeloom.units import Hz, volt


class Synaptic(sl.NeuronModel):
    """A LIF neuron with an exponential synaptic current."""

    tau = sl.param(10.0, sl.ms, low=0.0)
    tau_syn = sl.param(2.0, sl.ms, low=0.0)
    gain = sl.param(0.5, high=1.0, low=0.0, inclusive=True)
    v_threshold = sl.param(15.0, sl.mV)
    kind = sl.option("value", "subtract")
    v = sl.state(1.0, sl.mV)
    i_syn = sl.state(0.0, sl.mV)
    i = sl.input(sl.mV)

    def derivative(self, s, x):
        return {"v": (x.i + self.gain * s.i_syn - s.v) / self.tau, "i_syn": -s.i_syn / self.tau_syn}

    def threshold(self, s):
        return s.v - self.v_threshold

    def reset(self, s):
        return {"v": 0.0 if self.kind == "value" else s.v - self.v_threshold}


class Sag(Wrapper):
    """A wrapper with a state, a parameter, an input and an option of its own."""

    tau_sag = sl.param(50.0, sl.ms, low=0.0)
    sign = sl.option("down", "up")
    sag = sl.state(0.0, sl.mV)
    level = sl.input(sl.mV)

    def derivative(self, s, x):
        slopes = self.inner.derivative(s, x)
        push = s.sag / self.tau_sag
        v = self.membrane
        slopes[v] = slopes[v] - push if self.sign == "down" else slopes[v] + push
        return {**slopes, "sag": (x.level - s.sag) / self.tau_sag}


MODELS: list[NeuronModel] = [
    sl.LIF(tau=10.0, reset_mechanism="value"), sl.IF(), sl.LI(tau=[5.0, 6.0]), sl.ALIF(beta=0.3), sl.HodgkinHuxley(),
    Synaptic(tau=7.0, kind="subtract"), sl.Refractory(sl.LIF(tau=3.0), t_ref=1.1), sl.Peak(sl.HodgkinHuxley()),
    sl.Refractory(sl.Peak(Synaptic(tau_syn=3.0)), t_ref=4.0), Sag(sl.Refractory(sl.LIF()), sign="up", tau_sag=9.0),
]  # fmt: skip


# -- declarations


def declare(**parts) -> type[NeuronModel]:
    """A model class with a leaky membrane, in which some parts are replaced (None: left out)."""
    body = {
        "tau": sl.param(10.0, sl.ms, low=0.0), "v_threshold": sl.param(15.0, sl.mV), "v": sl.state(0.0, sl.mV),
        "i": sl.input(sl.mV), "derivative": lambda self, s, x: {"v": (x.i - s.v) / self.tau},
        "threshold": lambda self, s: s.v - self.v_threshold, "reset": lambda self, s: {"v": 0.0}, **parts,
    }  # fmt: skip
    return type("Mine", (sl.NeuronModel,), {k: v for k, v in body.items() if v is not None})


def test_the_sound_declaration_is_accepted() -> None:
    assert declare()().values == {"tau": 10.0, "v_threshold": 15.0}


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"w": sl.state(0.0)}, ModelError, r"Mine.derivative: got \['v'\], expected exactly \['v', 'w'\]"),
        ({"derivative": lambda self, s, x: {"v": s.v / self.tau, "u": 1.0}}, ModelError, r"expected exactly \['v'\]"),
        ({"derivative": lambda self, s, x: {}}, ModelError, r"got \[\]"),
        ({"derivative": lambda self, s, x: None}, ModelError, "Mine.derivative: got NoneType, expected a dict"),
        ({"reset": lambda self, s: None}, ModelError, "Mine.reset: got NoneType, expected a dict"),
        ({"reset": lambda self, s: {"w": 0.0}}, ModelError, "Mine.reset names an unknown state: got w"),
        ({"initial": lambda self: {"w": 0.0}}, ModelError, "Mine.initial names an unknown state: got w"),
        ({"peak": lambda self: {"tau": 0.0}}, ModelError, "Mine.peak names an unknown state: got tau"),
        ({"derivative": lambda self, s, x: {"v": x.i - s.v}}, DimensionError, r"dv/dt has the wrong unit: got mV"),
        ({"derivative": lambda self, s, x: {"v": x.i - self.tau}}, DimensionError, "cannot subtract mV and ms"),
        ({"reset": lambda self, s: {"v": -0.065 * volt}}, DimensionError, "v has the wrong unit: got V in -0.065"),
        ({"reset": lambda self, s: {"v": self.tau}}, DimensionError, "Mine.reset: v has the wrong unit: got ms in tau"),
        ({"peak": lambda self: {"v": self.tau}}, DimensionError, "Mine.peak: v has the wrong unit"),
        ({"initial": lambda self: {"v": self.tau}}, DimensionError, "Mine.initial: v has the wrong unit"),
        ({"threshold": lambda self, s: s.v - self.tau}, DimensionError, "cannot subtract mV and ms"),
        ({"threshold": lambda self, s: s.v >= self.v_threshold}, ModelError, r"threshold is a condition.*s.v - self"),
        ({"refractory": lambda self, s: s.v}, ModelError, "refractory is a number"),
        ({"derivative": lambda self, s, x: {"v": (x.i > s.v)}}, ModelError, "dv/dt is a condition"),
        ({"derivative": lambda self, s, x: {"v": -self.v / self.tau}}, ModelError, r"got self.v. Write s.v in an eq"),
        ({"derivative": lambda self, s, x: {"v": -self.i / self.tau}}, ModelError, r"got self.i. Write x.i in an eq"),
        ({"derivative": lambda self, s, x: {"v": -s.v / self.tua}}, AttributeError, "no attribute 'tua'"),
        ({"derivative": lambda self, s, x: {"v": s.w / self.tau}}, ModelError, r"uses 'w', which is not.*Known: v"),
        ({"derivative": lambda self, s, x: {"v": x.j / self.tau}}, ModelError, r"uses 'j', which is not.*Known: i"),
        ({"derivative": lambda self, s, x: {"v": s.v / self.tau if s.v > 0 else 0.0}}, ModelError, "where"),
        ({"derivative": lambda self, s, x: {"v": "fast"}}, ModelError, "foreign type: got str"),
        ({"v": None, "threshold": None, "reset": None}, ModelError, "declares no state"),
        ({"tau": sl.param(-1.0, sl.ms, low=0.0)}, ParameterError, "tau is out of range: got -1 ms, expected > 0 ms"),
        ({"dt": sl.param(1.0, sl.ms)}, ModelError, "declares a name that has a meaning: got dt"),
        ({"scale": sl.param(1.0)}, ModelError, "declares a name that has a meaning: got scale"),
        ({"membrane": sl.state(1.0)}, ModelError, "declares a name that has a meaning: got membrane"),
    ],
)  # fmt: skip
def test_wrong_declarations_are_refused_when_the_class_is_made(parts, error, message: str) -> None:
    with pytest.raises(error, match=message):
        declare(**parts)


def test_a_name_is_declared_once_and_redeclared_in_kind() -> None:
    with pytest.raises(ModelError, match="declares a name twice: got tau"):
        type("Mine", (sl.LIF,), {"tau": sl.state(0.0, sl.ms)})
    with pytest.raises(ModelError, match=r"gives the declared name tau a plain value: got 5.0.*sl.param"):
        type("Mine", (sl.LIF,), {"tau": 5.0})
    quicker = type("Quicker", (sl.LIF,), {"tau": sl.param(5.0, sl.ms, low=0.0)})
    assert (quicker().tau, sl.LIF().tau) == (5.0, 20.0)


def test_a_model_without_equations_says_so() -> None:
    class Bare(sl.NeuronModel):
        v = sl.state(0.0)

    with pytest.raises(ModelError, match="Bare has no derivative"):
        sl.nn.Neuron(Bare())


def test_options_other_than_the_default_are_checked_before_they_run() -> None:
    class Sometimes(sl.NeuronModel):
        mode = sl.option("right", "wrong")
        tau = sl.param(10.0, sl.ms, low=0.0)
        v = sl.state(0.0, sl.mV)

        def derivative(self, s, x):
            return {"v": -s.v / self.tau if self.mode == "right" else s.v}

    sl.nn.Neuron(Sometimes())
    with pytest.raises(DimensionError, match="dv/dt has the wrong unit"):
        sl.nn.Neuron(Sometimes(mode="wrong"))


# -- parameters


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"tau": 0.0}, ParameterError, "LIF: tau is out of range: got 0 ms, expected > 0 ms"),
        ({"tau": -3.0}, ParameterError, "got -3 ms"),
        ({"tau": np.array([1.0, -2.0, 3.0])}, ParameterError, "got -2 ms"),
        ({"tau": float("nan")}, ParameterError, "tau is not finite: got nan"),
        ({"tau": [1.0, float("nan")]}, ParameterError, "not finite"),
        ({"tau": float("inf")}, ParameterError, "not finite"),
        ({"v_rest": -float("inf")}, ParameterError, "not finite"),
        ({"tau": 20.0 * sl.nS}, DimensionError, "tau has the wrong dimension: got nS, expected ms"),
        ({"tau": 20.0 * Hz}, DimensionError, "got Hz"),
        ({"tau": True}, ParameterError, "got True, expected a number in ms"),
        ({"tau": "20"}, ParameterError, "got '20', expected a number in ms"),
        ({"tau": None}, ParameterError, "got None"),
        ({"tau": 1j}, ParameterError, "got 1j"),
        ({"tau": object}, ParameterError, "expected a number in ms"),
        ({"tua": 1.0}, ParameterError, "LIF has no parameter 'tua'. Did you mean tau"),
        ({"t_ref": 2.0}, ParameterError, r"no parameter 't_ref'. Wrap the model: sl.Refractory\(model, t_ref=...\)"),
        ({"v_peak": 2.0}, ParameterError, r"Wrap the model: sl.Peak\(model, v_peak=...\)"),
        ({"reset_mechanism": "zero"}, ParameterError, "got zero, expected subtract or value or none"),
    ],
)  # fmt: skip
def test_parameters_are_checked(values, error, message: str) -> None:
    with pytest.raises(error, match=message):
        sl.LIF(**values)


def test_bounds_are_open_or_closed_as_declared() -> None:
    assert Synaptic(gain=0.0).gain == 0.0
    assert Synaptic(gain=1.0).gain == 1.0
    assert sl.Refractory(sl.LIF(), t_ref=0.0).t_ref == 0.0
    with pytest.raises(ParameterError, match=r"got 1.5, expected <= 1$"):
        Synaptic(gain=1.5)
    with pytest.raises(ParameterError, match="t_ref is out of range: got -1 ms, expected >= 0 ms"):
        sl.Refractory(sl.LIF(), t_ref=-1.0)


@pytest.mark.parametrize(
    "value", [20, 20.0, np.float32(20.0), np.int64(20), np.array(20.0), torch.tensor(20.0), 0.02 * sl.second]
)
def test_a_number_of_any_kind_becomes_a_float(value) -> None:
    tau = sl.LIF(tau=value).tau
    assert type(tau) is float
    assert tau == 20.0


@pytest.mark.parametrize("value", [[10.0, 20.0], (10, 20), np.array([10.0, 20.0]), torch.tensor([10.0, 20.0])])
def test_an_array_becomes_one_value_a_neuron(value) -> None:
    model = sl.LIF(tau=value)
    assert model.tau.dtype == np.float64
    assert repr(model) == "LIF(tau=<2 values>)"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trace = sl.simulate(model, current=np.array([0.0, 0.0]), duration=5.0, dt=5.0, state={"v": 1.0}, solver=None)
    np.testing.assert_allclose(trace["v"][-1], np.exp([-0.5, -0.25]), rtol=1e-14)


def test_the_model_keeps_its_own_copy_of_an_array() -> None:
    given = np.array([10.0, 20.0])
    model = sl.LIF(tau=given)
    given[0] = 99.0
    assert model.tau.tolist() == [10.0, 20.0]
    for same in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match="read-only"):
            same.tau[0] = 1.0


# -- values


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_models_are_values(model: NeuronModel) -> None:
    for same in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.replace()):
        assert same == model
        assert hash(same) == hash(model)
        assert repr(same) == repr(model)
        assert same.structure() == model.structure()
        assert (list(same.states), list(same.params)) == (list(model.states), list(model.params))
    others = [other for other in MODELS if other is not model]
    assert model not in others
    assert model != "a model"


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_one_changed_parameter_makes_another_value_of_the_same_structure(model: NeuronModel) -> None:
    for name in model.params:
        value = getattr(model, name)
        other = model.replace(**{name: value * 0.9 + 0.01})
        assert other != model
        assert other.structure() == model.structure()
        assert other.replace(**{name: value}) == model


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_models_are_frozen(model: NeuronModel) -> None:
    for name in (*model.params, *model.options, "anything"):
        with pytest.raises(ModelError, match=rf"frozen value; {name} cannot be set.*model.replace\({name}=...\)"):
            setattr(model, name, 1.0)


def test_the_shape_of_an_array_belongs_to_the_value() -> None:
    # Equal bytes in another shape: a cache keyed by the model once returned the other one's constants.
    column, row = sl.LIF(tau=[[1.0], [2.0]]), sl.LIF(tau=[[1.0, 2.0]])
    assert column != row
    x = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    start = {"v": torch.full((1, 2, 2), 0.25, dtype=torch.float64)}
    for model in (column, row):
        final = sl.scan(model, {"v": 0.0 * x}, start).final["v"][0]
        expected = 0.25 * np.exp(-1.0 / np.broadcast_to(model.tau, (2, 2)))
        np.testing.assert_allclose(final.numpy(), expected, rtol=1e-15)


def test_options_are_part_of_the_structure() -> None:
    assert sl.LIF(reset_mechanism="value").structure() != sl.LIF().structure()
    assert sl.LIF(tau=3.0).replace(reset_mechanism="none") == sl.LIF(tau=3.0, reset_mechanism="none")
    with pytest.raises(ParameterError, match="Did you mean tau"):
        sl.LIF().replace(taus=1.0)


def test_repr_shows_what_differs_from_the_default() -> None:
    assert repr(sl.LIF()) == "LIF()"
    assert repr(sl.LIF(tau=10.0, reset_mechanism="value")) == "LIF(tau=10.0, reset_mechanism='value')"
    assert (
        repr(sl.Refractory(sl.Peak(sl.LIF(tau=5.0)), t_ref=1.0))
        == "Refractory(Peak(LIF(tau=5.0), v_peak=30.0), t_ref=1.0)"
    )
    assert "tau" in repr(sl.LIF().symbolic())


# -- wrappers


def test_nested_wrappers_pass_everything_on() -> None:
    nested = sl.Refractory(sl.Peak(sl.LIF(tau=5.0, v_rest=2.0)), t_ref=3.0)
    assert list(nested.states) == ["v", "remaining"]
    assert nested.membrane == "v"
    assert set(nested.params) == {*sl.LIF().params, "v_peak", "t_ref"}
    assert (nested.tau, nested.v_peak, nested.t_ref) == (5.0, 30.0, 3.0)
    assert nested.initial_values() == {"v": 2.0, "remaining": 0.0}
    assert nested.replace(tau=8.0, t_ref=1.0) == sl.Refractory(sl.Peak(sl.LIF(tau=8.0, v_rest=2.0)), t_ref=1.0)
    assert nested.replace(reset_mechanism="value").inner.inner == sl.LIF(tau=5.0, v_rest=2.0, reset_mechanism="value")
    assert sl.Refractory(sl.LIF(), tau=7.0) == sl.Refractory(sl.LIF(tau=7.0))


def test_wrappers_in_either_order_compute_the_same() -> None:
    inner = sl.LIF(tau=10.0, v_threshold=15.0, reset_mechanism="value")
    one, other = sl.Refractory(sl.Peak(inner), t_ref=2.0), sl.Peak(sl.Refractory(inner, t_ref=2.0))
    traces = [sl.simulate(model, current=30.0, duration=60.0, dt=0.1) for model in (one, other)]
    np.testing.assert_array_equal(traces[0]["v"], traces[1]["v"])
    assert len(traces[0].spike_times) > 5


def test_options_of_a_wrapper_survive_a_replacement() -> None:
    model = Sag(sl.LIF(), sign="up")
    assert model.replace(tau=3.0).sign == "up"
    assert model.replace(tau=3.0).tau == 3.0
    assert model.replace(sign="down") == Sag(sl.LIF())


def test_wrappers_refuse_what_does_not_fit() -> None:
    with pytest.raises(ModelError, match=r"Refractory declares what .* has already: got"):
        sl.Refractory(sl.Refractory(sl.LIF()))
    with pytest.raises(ParameterError, match=r"Did you mean t_ref"):
        sl.Refractory(sl.LIF(), t_reff=2.0)
    with pytest.raises(ParameterError, match=r"Refractory needs a neuron model: got .*LIF.*, expected"):
        sl.Refractory(sl.LIF)  # type: ignore[arg-type]

    class Plain(sl.NeuronModel):
        x = sl.state(0.0)

        def derivative(self, s, x):
            return {"x": m.tanh(s.x) * 0.0 - 0.1 * s.x}

    with pytest.raises(DimensionError, match=r"Peak.peak: x has the wrong unit: got mV"):
        sl.Peak(Plain())


def test_a_wrapper_with_parts_of_its_own_runs() -> None:
    model = Sag(sl.LIF(tau=10.0), sign="up", tau_sag=20.0)
    trace = sl.simulate(model, current=0.5, duration=10.0, dt=0.1, into="level")
    sag = 0.5 * (1.0 - np.exp(-trace.times / 20.0))
    np.testing.assert_allclose(trace["sag"], sag, rtol=1e-12)
    assert trace["v"][-1] > 0.0

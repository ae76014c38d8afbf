"""The vector field: against the model's own methods, finite differences, and NumPy's floating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ModelError, ParameterError, ShapeError
from spikeloom.kernels.field import vector_field
from spikeloom.lang import math as m
from spikeloom.models.base import Values


class Everything(sl.NeuronModel):
    """Uses each operation of the language that a derivative may; names that a generated text must not mix up."""

    t0 = sl.param(1.5)
    exp = sl.state(0.3)
    y = sl.state(-0.7)
    left = sl.timer()
    x = sl.input()

    def derivative(self, s, x):
        a = m.exp(s.exp) + m.expm1(s.y) + m.log(s.exp + 2.0) + m.log1p(s.y * s.y) + m.sqrt(s.exp + 1.0)
        b = m.tanh(s.y) + m.sigmoid(s.exp) + m.sin(s.y) + m.cos(s.exp) + m.atan(s.y) + m.erf(s.exp) + abs(s.y)
        held = m.where((s.left > 0.0) | ~(s.exp > -1.0), 0.0, 1.0)
        c = m.minimum(s.exp, s.y) * m.maximum(s.exp, self.t0) + m.ceil(s.y) + (s.exp + 3.0) ** self.t0
        return {"exp": (a - b / self.t0 + x.x) * held * 1.0, "y": (c * x.x + m.detach(s.y) - s.y) * 1.0}

    def threshold(self, s):
        return s.exp * s.exp - self.t0

    def reset(self, s):
        return {"left": 2.0}


def central(f, y: np.ndarray, h: float = 1e-6) -> np.ndarray:
    return np.array([(f(y + h * e) - f(y - h * e)) / (2 * h) for e in np.eye(len(y))]).T


@pytest.mark.parametrize(("model", "x"), [(Everything(), 0.4), (sl.HodgkinHuxley(), 7.0), (sl.ALIF(), 2.0)], ids=repr)
def test_against_the_model_and_finite_differences(model: sl.NeuronModel, x: float) -> None:
    field = vector_field(model, {next(iter(model.inputs)): x})
    y = field.start + 0.01
    zero = torch.zeros((), dtype=torch.float64)
    states = {**dict.fromkeys(model.states, zero), **dict(zip(field.names, torch.from_numpy(y), strict=True))}
    expected = model.derivative(Values(**states), Values(**{next(iter(model.inputs)): zero + x}))
    np.testing.assert_allclose(field(y), [expected[n] for n in field.names], rtol=1e-14)
    jacobian = central(field, y)
    np.testing.assert_allclose(field.jacobian(y)[:, :1], jacobian[:, :1], rtol=1e-7, atol=1e-8)
    gradient = central(lambda at: np.array([field.threshold(at)]), y)[0]
    np.testing.assert_allclose(field.threshold_gradient(y), gradient, rtol=1e-7, atol=1e-8)
    for name in (*model.params, *model.inputs):
        step = 1e-6
        value = model.values.get(name, x)
        shifted = [
            vector_field(model.replace(**{name: value + d}), {next(iter(model.inputs)): x})(y)
            if name in model.params
            else field(y, [value + d])
            for d in (step, -step)
        ]
        found = field.wrt(y, None, name)
        np.testing.assert_allclose(found, (shifted[0] - shifted[1]) / (2 * step), rtol=1e-6, atol=1e-7)


def test_the_rest_of_the_jacobian_and_what_detach_means() -> None:
    field = vector_field(Everything(), {"x": 0.4})
    jacobian = field.jacobian(field.start)
    assert jacobian[1, 1] == pytest.approx(0.4 * 1.5 - 1.0)  # min(exp, y) max(exp, t0) x; ceil and detach give 0


@pytest.mark.parametrize("model", [Everything(), sl.HodgkinHuxley()], ids=repr)
def test_many_points_at_once_are_the_single_ones(model: sl.NeuronModel) -> None:
    field = vector_field(model)
    y = field.start[:, None] + np.random.default_rng(0).normal(size=(len(field.names), 5)) * 0.1
    x = np.linspace(0.0, 2.0, 5)[None]
    for k in range(5):
        np.testing.assert_allclose(field(y, x)[:, k], field(y[:, k], x[:, k]), rtol=1e-13)
        np.testing.assert_allclose(field.jacobian(y, x)[..., k], field.jacobian(y[:, k], x[:, k]), rtol=1e-12)
        assert field.threshold(y)[k] == pytest.approx(field.threshold(y[:, k]), rel=1e-14)


def test_a_value_per_neuron() -> None:
    field = vector_field(sl.Refractory(sl.LIF(tau=np.array([10.0, 20.0]))), {"i": 3.0})
    assert field([[1.0, 2.0]]).tolist() == [[0.2, 0.05]]
    assert field([1.0]).tolist() == [[0.2, 0.1]]
    assert field.held_at(i=1.0)([[1.0, 2.0]]).tolist() == [[0.0, -0.05]]


def test_floating_point_runs_over_as_everywhere_else() -> None:
    class Bad(sl.NeuronModel):
        v = sl.state(0.0)

        def derivative(self, s, x):
            return {"v": (1.0 / s.v + m.log(s.v) + m.exp(s.v * 1e4)) * 1.0}

    field = vector_field(Bad())
    assert field([1.0]).tolist() == [np.inf]
    assert np.isnan(field([0.0]))
    assert np.isnan(field([-1.0]))


def test_mistakes() -> None:
    field = vector_field(sl.HodgkinHuxley())
    with pytest.raises(ParameterError, match=r"no input 'I'"):
        vector_field(sl.HodgkinHuxley(), {"I": 3.0})
    with pytest.raises(ParameterError, match=r"no input or parameter 'gna'.*Did you mean g_na"):
        field.wrt(field.start, None, "gna")
    with pytest.raises(ShapeError, match=r"states of a vector field: got shape \(3,\), expected \[4, ...\]"):
        field([1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match=r"inputs of a vector field"):
        field(field.start, [1.0, 2.0])
    with pytest.raises(ModelError, match="LI has no threshold"):
        vector_field(sl.LI()).threshold([0.0])

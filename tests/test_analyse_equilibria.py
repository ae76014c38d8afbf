"""Resting points and phase planes, against REFERENCE sections 2 to 5 and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.analyse import equilibria, nullclines, resting_points
from spikeloom.errors import DimensionError, ModelError, ParameterError


class Pitchfork(sl.NeuronModel):
    """dv/dt = p v - v³, dw/dt = w - w³ - v: the second state is not linear in itself."""

    tau = sl.param(1.0, sl.ms)
    p = sl.param(4.0)
    v = sl.state(0.1)
    w = sl.state(0.2)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (self.p * s.v - s.v**3 + x.i) / self.tau, "w": (s.w - s.w**3) / self.tau}


class Tangent(sl.NeuronModel):
    """dv/dt = (v - 2)² - e: two roots as close as one likes."""

    tau = sl.param(1.0, sl.ms)
    e = sl.param(1e-12)
    v = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": ((s.v - 2.0) ** 2 - self.e + x.i) / self.tau}


def test_hodgkin_huxley_at_rest():
    (rest,) = resting_points(sl.HodgkinHuxley())
    assert rest["v"] == pytest.approx(-64.9963793, abs=5e-8)
    assert [rest[g] for g in "mhn"] == pytest.approx([0.0529551, 0.5959941, 0.3177324], abs=5e-8)
    assert rest.stable
    assert rest.kind == "stable focus"
    assert len(rest.eigenvalues) == 4


def test_fitzhugh_nagumo_at_rest():
    (rest,) = resting_points(sl.FitzHughNagumo())
    assert [rest["v"], rest["w"]] == pytest.approx([-1.19940804, -0.62426004], abs=5e-9)
    # Closed form: v - v³/3 - (v + a)/b = 0, and the trace and determinant of the Jacobian at its root.
    (v,) = (r.real for r in np.roots([-1.0 / 3.0, 0.0, 1.0 - 1.0 / 0.8, -0.7 / 0.8]) if abs(r.imag) < 1e-12)
    assert rest["v"] == pytest.approx(v, abs=1e-12)
    trace, det = (1.0 - v * v) - 0.064, -(1.0 - v * v) * 0.064 + 0.08
    assert rest.eigenvalues.sum().real == pytest.approx(trace, abs=1e-12)
    assert rest.eigenvalues.prod().real == pytest.approx(det, abs=1e-12)


@pytest.mark.parametrize(
    ("model", "current"), [(sl.HodgkinHuxley(), 50.0), (sl.MorrisLecar(), 60.0), (sl.HindmarshRose(), 3.25)]
)
def test_the_slopes_vanish_to_rounding(model, current):
    from spikeloom.kernels.field import vector_field

    field = vector_field(model, {"i": current})
    for point in resting_points(model, current):
        y = np.array([point[name] for name in field.names])
        # In terms of the states: a Newton step would change nothing in the 12th digit.
        step = np.linalg.solve(field.jacobian(y), field(y))
        assert (abs(step) <= 1e-12 * (1.0 + abs(y))).all()


def test_three_points_of_morris_lecar_and_their_kinds():
    low, middle, high = resting_points(sl.MorrisLecar.preset("snic"), 20.0)
    assert [p.kind for p in (low, middle, high)] == ["stable node", "saddle", "unstable focus"]
    assert low["v"] < middle["v"] < high["v"]
    assert [p.stable for p in (low, middle, high)] == [True, False, False]
    # The folds are at 39.9632 and -9.9490.
    counts = [len(resting_points(sl.MorrisLecar.preset("snic"), i)) for i in (-10.0, -9.9, 39.963, 39.9633)]
    assert counts == [1, 3, 3, 1]


def test_beyond_its_hopf_bifurcation_the_axon_spirals_out_and_is_drawn_in():
    (point,) = resting_points(sl.HodgkinHuxley(), 10.0)
    assert point.kind == "saddle-focus"
    (point,) = resting_points(sl.HodgkinHuxley(), 155.0)
    assert point.kind == "stable focus"


def test_izhikevich_in_closed_form():
    # 0.04 v² + (5 - b) v + 140 + i = 0, with u = b v.
    model = sl.Izhikevich()
    found = resting_points(model, 0.0)
    assert [p["v"] for p in found] == pytest.approx([-70.0, -50.0], abs=1e-11)
    assert [p.kind for p in found] == ["stable node", "saddle"]
    # The Jacobian [[0.08 v + 5, -1], [a b, -a]] at v = -70.
    assert found[0].eigenvalues.real == pytest.approx((-0.62 + np.array([1, -1]) * 0.3204**0.5) / 2.0, abs=1e-11)
    assert resting_points(model, 4.1) == ()


def test_points_at_and_above_the_threshold_of_a_reset_do_not_count():
    assert resting_points(sl.LIF(), 0.999)[0]["v"] == pytest.approx(0.999)
    assert resting_points(sl.LIF(), 1.0) == ()
    # ... but a smooth model rests where it likes.
    assert len(resting_points(sl.HodgkinHuxley(), 160.0)) == 1


@pytest.mark.parametrize("gap", [1e-2, 1e-5, 1e-7])
def test_a_close_pair_is_two_points(gap):
    found = resting_points(Tangent(e=gap * gap))
    assert [p["v"] for p in found] == pytest.approx([2.0 - gap, 2.0 + gap], abs=1e-3 * gap + 1e-14 / gap)
    assert [p.kind for p in found] == ["stable node", "unstable node"]


def test_states_that_are_not_linear_in_themselves_are_found_from_many_starts():
    found = resting_points(Pitchfork(), ranges={"v": (-10.0, 10.0), "w": (-5.0, 5.0)})
    pairs = sorted((round(p["v"], 9), round(p["w"], 9)) for p in found)
    assert pairs == [(v, w) for v in (-2.0, 0.0, 2.0) for w in (-1.0, 0.0, 1.0)]
    kinds = {(round(p["v"]), round(p["w"])): p.kind for p in found}
    assert kinds[0, 0] == "unstable node"
    assert kinds[2, 1] == "stable node"
    assert kinds[2, 0] == kinds[0, 1] == "saddle"


def test_ranges_bound_the_search():
    model = sl.MorrisLecar.preset("snic")
    assert len(resting_points(model, 20.0, ranges={"v": (-60.0, -10.0)})) == 2
    assert len(resting_points(model, 20.0, ranges={"w": (0.1, 1.0)})) == 1


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([-1.0, -2.0], "stable node"),
        ([-1.0 + 1j, -1.0 - 1j, -3.0], "stable focus"),
        ([1.0, -2.0], "saddle"),
        ([1.0, -2.0 + 1j, -2.0 - 1j], "saddle"),
        ([1.0 + 1j, 1.0 - 1j, -2.0], "saddle-focus"),
        ([1.0, 2.0], "unstable node"),
        ([1.0 + 1j, 1.0 - 1j], "unstable focus"),
        ([0.0, -2.0], "degenerate"),
        ([1e-12 + 1j, 1e-12 - 1j], "degenerate"),
    ],
)
def test_kinds(values, kind):
    assert equilibria.kind_of(np.array(values, dtype=complex)) == kind
    assert kind in equilibria.KINDS


def test_the_current_may_have_a_unit_and_a_name():
    model = sl.HodgkinHuxley()
    by_name = resting_points(model, {"i": 5.0})[0]["v"]
    assert by_name == resting_points(model, 5.0 * sl.uA_per_cm2)[0]["v"] == resting_points(model, 5.0)[0]["v"]


def test_what_cannot_be_analysed_is_refused():
    with pytest.raises(sl.analyse.AnalysisError, match="rests wherever its membrane is"):
        resting_points(sl.IF(), 0.0)
    with pytest.raises(ParameterError, match=r"LIF\.tau: got 2 values, expected one"):
        resting_points(sl.LIF(tau=np.array([1.0, 2.0])))
    with pytest.raises(ParameterError, match="needs a neuron model"):
        resting_points(sl.LIF)
    with pytest.raises(ParameterError, match=r"no input 'j'\. Known: i"):
        resting_points(sl.LIF(), {"j": 1.0})
    with pytest.raises(ParameterError, match="finite number"):
        resting_points(sl.LIF(), float("nan"))
    with pytest.raises(DimensionError, match="expected pA"):
        resting_points(sl.LIF(), 20.0 * sl.ms)
    with pytest.raises(ParameterError, match="no state 'u'"):
        resting_points(sl.LIF(), ranges={"u": (0.0, 1.0)})
    with pytest.raises(ParameterError, match="low < high"):
        resting_points(sl.LIF(), ranges={"v": (1.0, 0.0)})
    with pytest.raises(ParameterError, match="Did you mean"):
        resting_points(sl.MorrisLecar())[0]["ww"]
    with pytest.raises(ModelError, match="fires at random"):
        resting_points(sl.EscapeRate(sl.LIF()))


# -- phase planes


def test_nullclines_of_fitzhugh_nagumo_lie_on_their_closed_forms():
    lines = nullclines(sl.FitzHughNagumo(), 0.5, x=(-2.5, 2.5), y=(-1.0, 2.0))
    assert lines.names == ("v", "w")
    (cubic,), (straight,) = lines.x, lines.y
    v, w = cubic.T
    assert w == pytest.approx(v - v**3 / 3.0 + 0.5, abs=1e-13)
    # The whole of it within the window, as one curve: it enters at the top left and leaves at the bottom right.
    assert {round(float(w[0]), 9), round(float(w[-1]), 9)} == {2.0, -1.0}
    assert len(v) > 400
    v, w = straight.T
    assert w == pytest.approx((v + 0.7) / 0.8, abs=1e-13)


def test_nullclines_of_morris_lecar_lie_on_their_closed_forms():
    model = sl.MorrisLecar.preset("snic")
    lines = nullclines(model, 39.0, x=(-75.0, 60.0), y=(-0.05, 1.0), points=150)
    (gate,) = lines.y
    v, w = gate.T
    assert w == pytest.approx(0.5 * (1.0 + np.tanh((v - 12.0) / 17.4)), abs=1e-12)
    assert [v.min(), v.max()] == pytest.approx([-75.0, 60.0], abs=1e-9)
    v, w = np.concatenate(lines.x).T
    m = 0.5 * (1.0 + np.tanh((v + 1.2) / 18.0))
    assert w == pytest.approx((39.0 - 4.0 * m * (v - 120.0) - 2.0 * (v + 60.0)) / (8.0 * (v + 84.0)), abs=1e-11)
    # Where they cross, the neuron rests.
    for point in resting_points(model, 39.0):
        for curves in (lines.x, lines.y):
            away = min(np.hypot((c[:, 0] - point["v"]) / 135.0, c[:, 1] - point["w"]).min() for c in curves)
            assert away < 0.01


class Oval(sl.NeuronModel):
    """dv/dt = 1 - v² - w², dw/dt = v w: a closed nullcline, and two that cross."""

    tau = sl.param(1.0, sl.ms)
    v = sl.state(0.0)
    w = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (1.0 - s.v * s.v - s.w * s.w + x.i) / self.tau, "w": s.v * s.w / self.tau}


def test_a_closed_nullcline_is_closed_and_crossing_ones_are_followed():
    lines = nullclines(Oval(), 0.0, x=(-1.51, 1.53), y=(-1.52, 1.54), points=101)
    (circle,) = lines.x
    assert np.hypot(*circle.T) == pytest.approx(1.0, abs=1e-14)
    assert (circle[0] == circle[-1]).all()
    cross = np.concatenate(lines.y)
    assert abs(cross).min(axis=1).max() < 1e-14
    assert [cross[:, k].min() < -1.5 and cross[:, k].max() > 1.5 for k in (0, 1)] == [True, True]
    assert nullclines(Oval(), 0.0, x=(2.0, 3.0), y=(2.0, 3.0)).x == ()


def test_arrows_are_the_equations():
    found = sl.analyse.arrows(sl.FitzHughNagumo(), 0.5, x=(-2.0, 2.0), y=(-1.0, 1.0), points=7)
    v, w = np.meshgrid(found.x, found.y)
    assert found.dx == pytest.approx(v - v**3 / 3.0 - w + 0.5, abs=1e-14)
    assert found.dy == pytest.approx((v + 0.7 - 0.8 * w) / 12.5, abs=1e-14)


def test_only_two_states_have_a_plane():
    with pytest.raises(ModelError, match="HodgkinHuxley: got states v, m, h, n, expected two states"):
        nullclines(sl.HodgkinHuxley(), x=(-80.0, 50.0), y=(0.0, 1.0))
    with pytest.raises(ModelError, match="expected two states"):
        sl.analyse.arrows(sl.LIF(), x=(0.0, 1.0), y=(0.0, 1.0))
    with pytest.raises(ParameterError, match=r"a pair \(low, high\)"):
        nullclines(sl.FitzHughNagumo(), x=3.0, y=(0.0, 1.0))
    with pytest.raises(ParameterError, match="whole number"):
        nullclines(sl.FitzHughNagumo(), x=(0.0, 1.0), y=(0.0, 1.0), points=1)

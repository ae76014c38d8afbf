"""Bifurcations against REFERENCE sections 2 to 4, to the digits given there (1e-4 was asked), and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import spikeloom as sl
from spikeloom.analyse import bifurcations
from spikeloom.errors import ParameterError


@pytest.fixture(scope="module")
def axon():
    return bifurcations(sl.HodgkinHuxley(), "i", 0.0, 200.0)


@pytest.fixture(scope="module")
def snic():
    return bifurcations(sl.MorrisLecar.preset("snic"), "i", -50.0, 150.0)


def test_hopf_points_of_hodgkin_huxley(axon):
    low, high = axon.hopf
    assert low.parameter == pytest.approx(9.77544, abs=6e-6)
    assert low["v"] == pytest.approx(-59.6541, abs=6e-5)
    assert low.frequency == pytest.approx(93.30, abs=6e-3)
    assert high.parameter == pytest.approx(154.52243, abs=6e-6)
    assert high["v"] == pytest.approx(-43.0581, abs=6e-5)
    assert high.frequency == pytest.approx(169.17, abs=6e-3)
    assert len(axon.points) == 2
    # Rinzel and Miller 1980: the lower one is subcritical, the upper one supercritical.
    assert (low.criticality, high.criticality) == ("subcritical", "supercritical")


def test_hopf_points_of_morris_lecar():
    found = bifurcations(sl.MorrisLecar(), "i", 0.0, 300.0)
    low, high = found.hopf
    assert low.parameter == pytest.approx(93.8576, abs=6e-5)
    assert low.frequency == pytest.approx(12.70, abs=6e-3)
    assert high.parameter == pytest.approx(212.0188, abs=6e-5)
    assert low.criticality == "subcritical"  # it fires at 90 already
    assert found.folds == ()


def test_the_saddle_node_on_a_circle_of_morris_lecar(snic):
    low, high = snic.folds
    assert low.parameter == pytest.approx(-9.9490, abs=6e-5)
    assert high.parameter == pytest.approx(39.9632, abs=6e-5)
    assert (low.on_circle, high.on_circle) == (False, True)
    (hopf,) = snic.hopf
    assert hopf.parameter == pytest.approx(97.7879, abs=6e-5)
    (neutral,) = snic.of("neutral saddle")
    assert neutral.parameter == pytest.approx(36.67, abs=6e-3)
    assert neutral.eigenvalues.imag.tolist() == [0.0, 0.0]
    assert neutral.eigenvalues.sum() == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(neutral.frequency)
    assert [p.kind for p in snic.points] == ["saddle-node", "neutral saddle", "saddle-node", "hopf"]


def test_fitzhugh_nagumo_in_closed_form():
    # The trace vanishes at v² = 1 - b φ, with φ = 1/12.5; ω² = det = φ (1 - b² φ).
    found = bifurcations(sl.FitzHughNagumo(), "i", -1.0, 2.5)
    low, high = found.hopf
    assert low.parameter == pytest.approx(0.331281, abs=6e-7)
    assert high.parameter == pytest.approx(1.418719, abs=6e-7)
    assert [low["v"], high["v"]] == pytest.approx([-(0.936**0.5), 0.936**0.5], abs=1e-9)
    assert low["v"] == pytest.approx(-0.967471, abs=6e-7)
    assert low.period == pytest.approx(2.0 * np.pi / (0.08 * (1.0 - 0.0512)) ** 0.5, rel=1e-9)
    assert low.period == pytest.approx(22.806, abs=6e-4)
    v = np.array([low["v"], high["v"]])
    assert [low.parameter, high.parameter] == pytest.approx(((v + 0.7) / 0.8 - v + v**3 / 3.0).tolist(), abs=1e-9)
    assert low.criticality == "subcritical"  # a large cycle exists slightly below


def test_izhikevich_in_closed_form():
    # Trace 0 at 0.08 v + 5 = a, fold where (5 - b)² = 0.16 (140 + i).
    (hopf,), (fold,) = (lambda d: (d.hopf, d.folds))(bifurcations(sl.Izhikevich(), "i", -5.0, 20.0))
    assert hopf["v"] == pytest.approx(-62.25, abs=1e-8)
    assert hopf.parameter == pytest.approx(3.7975, abs=1e-9)
    assert hopf.frequency == pytest.approx(1000.0 * (0.02 * 0.2 - 0.02**2) ** 0.5 / (2.0 * np.pi), rel=1e-8)
    assert fold.parameter == pytest.approx(4.0, abs=1e-9)
    assert fold["v"] == pytest.approx(-60.0, abs=1e-4)


def test_adex_in_closed_form():
    # Touboul and Brette 2008, eq. 3 and 4, in the units of the 2005 paper.
    found = bifurcations(sl.AdEx(), "i", 0.0, 1500.0)
    c, g, e, vt, dt, tau_w, a = 281.0, 30.0, -70.6, -50.4, 2.0, 144.0, 4.0
    ratio = c / g / tau_w
    fold = (g + a) * (vt - e - dt + dt * np.log(1.0 + a / g))
    hopf = (g + a) * (vt - e - dt + dt * np.log(1.0 + ratio)) + dt * g * (a / g - ratio)
    assert found.folds[0].parameter == pytest.approx(fold, rel=1e-9)
    assert found.hopf[0].parameter == pytest.approx(hopf, rel=1e-9)
    assert found.hopf[0].criticality == "subcritical"  # Touboul 2008: always, for the exponential


def test_the_quadratic_neuron_fires_from_a_circle_that_its_reset_closes():
    (fold,) = bifurcations(sl.QIF(), "i", 0.0, 500.0).points
    assert fold.parameter == pytest.approx(0.1 * 10.0**2 / 4.0 / 0.1, abs=1e-9)  # r i = a (v_c - v_rest)² / 4
    assert fold["v"] == pytest.approx(-60.0, abs=1e-4)
    assert fold.on_circle is True


class Bistable(sl.NeuronModel):
    """dv/dt = 1 - v² + x (smooth, saddle-node off any circle): leaves for minus infinity below x = -1."""

    tau = sl.param(1.0, sl.ms)
    v = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (1.0 - s.v * s.v + x.i) / self.tau}


class Normal(sl.NeuronModel):
    """The normal form of a Hopf bifurcation: r' = r (mu + s r²), turning at w."""

    tau = sl.param(1.0, sl.ms)
    mu = sl.param(0.0)
    s_cubic = sl.param(-1.0)
    w = sl.param(0.3)
    x = sl.state(0.01)
    y = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        square = s.x * s.x + s.y * s.y
        grow = self.mu + self.s_cubic * square
        return {"x": (grow * s.x - self.w * s.y) / self.tau, "y": (grow * s.y + self.w * s.x) / self.tau}


class Symmetric(sl.NeuronModel):
    """A pitchfork: dv/dt = p v - v³."""

    tau = sl.param(1.0, sl.ms)
    p = sl.param(1.0)
    v = sl.state(0.0)
    i = sl.input()

    def derivative(self, s, x):
        return {"v": (self.p * s.v - s.v**3 + x.i) / self.tau}


def test_a_saddle_node_that_leads_to_infinity_is_on_no_circle():
    (fold,) = bifurcations(Bistable(), "i", -2.0, 2.0).points
    assert fold.parameter == pytest.approx(-1.0, abs=1e-10)
    assert fold.on_circle is False


@pytest.mark.parametrize(("cubic", "kind"), [(-1.0, "supercritical"), (1.0, "subcritical"), (0.0, "degenerate")])
def test_the_sign_of_the_first_lyapunov_coefficient(cubic, kind):
    found = bifurcations(Normal(s_cubic=cubic), "mu", -1.0, 1.5)
    (hopf,) = found.hopf
    assert hopf.parameter == pytest.approx(0.0, abs=1e-10)
    assert hopf.frequency == pytest.approx(1000.0 * 0.3 / (2.0 * np.pi), rel=1e-10)
    assert hopf.criticality == kind
    assert found.unit == "1"


def test_a_pitchfork_is_a_branch_point_and_no_fold_of_the_straight_branch():
    found = bifurcations(Symmetric(), "p", -1.0, 2.0)
    assert [p.parameter for p in found.of("branch point")] == pytest.approx([0.0], abs=1e-8)
    straight = min(found.branches, key=lambda b: abs(b["v"]).max())
    assert abs(straight["v"]).max() < 1e-9
    assert straight.parameter[[0, -1]].tolist() == [-1.0, 2.0]
    # The parabola is a branch of its own, followed through its turning point.
    curved = max(found.branches, key=lambda b: np.ptp(b["v"]))
    assert curved.parameter == pytest.approx(curved["v"] ** 2, abs=1e-9)
    assert np.ptp(curved["v"]) == pytest.approx(2.0 * 2.0**0.5, abs=1e-9)


def test_branches_can_be_drawn(snic):
    (branch,) = snic.branches
    assert branch.parameter[[0, -1]].tolist() == [-50.0, 150.0]
    assert (np.diff(branch["v"]) > 0.0).all()  # an S in the parameter, once through in the membrane
    assert len(branch.parameter) == len(branch["w"]) == len(branch.kinds) == len(branch.stable)
    assert branch.eigenvalues.shape == (len(branch.parameter), 2)
    # Stable up to the first fold on the way (39.96), and again beyond the Hopf point.
    fold, hopf = snic.folds[1]["v"], snic.hopf[0]["v"]
    assert (branch.stable == ((branch["v"] < fold) | (branch["v"] > hopf))).all()
    assert {k for k, s in zip(branch.kinds, branch.stable, strict=True) if s} <= {"stable node", "stable focus"}
    assert (snic.name, snic.unit, snic.units["v"]) == ("i", "uA/cm2", "mV")
    assert max(np.diff(branch["v"])) < 2.0
    # Every point of it is at rest.
    field = sl.analyse.system.system("test", sl.MorrisLecar.preset("snic"), 0.0)
    slopes = field(np.stack([branch["v"], branch["w"]]), branch.parameter[None])
    assert abs(slopes).max() < 1e-10


def test_along_a_parameter_that_is_not_a_current():
    # The trace vanishes at v² = 0.936 whatever a is; a = b (v - v³/3 + i) - v puts the resting point there.
    found = bifurcations(sl.FitzHughNagumo(), "a", -1.0, 1.0)
    v = np.array([0.936**0.5, -(0.936**0.5)])
    assert [h.parameter for h in found.hopf] == pytest.approx((0.8 * (v - v**3 / 3.0) - v).tolist(), abs=1e-10)
    assert (found.name, found.unit) == ("a", "1")
    # g_k of the axon at rest moves E and stability; ends are in the parameter's own unit.
    units = bifurcations(sl.HodgkinHuxley(), "g_k", 10.0, 36.0 * sl.units.mS_per_cm2)
    assert units.unit == "mS/cm2"


def test_six_states_of_connor_and_stevens_fire_from_a_circle():
    found = bifurcations(sl.ConnorStevens(), "i", 8.0, 10.0)
    fold = max(found.folds, key=lambda b: b.parameter)
    assert abs(fold.eigenvalues).min() < 1e-7
    assert fold.on_circle is True  # class 1: the rate begins at 0 (Connor et al. 1977)
    rests = [len(sl.analyse.resting_points(sl.ConnorStevens(), fold.parameter + d)) for d in (-1e-6, 1e-6)]
    assert rests[0] == rests[1] + 2


def test_what_cannot_be_followed_is_refused():
    model = sl.HodgkinHuxley()
    with pytest.raises(ParameterError, match=r"no input or parameter 'gna'. Did you mean g_na"):
        bifurcations(model, "gna", 0.0, 1.0)
    with pytest.raises(ParameterError, match="expected low < high"):
        bifurcations(model, "i", 1.0, 1.0)
    with pytest.raises(ParameterError, match="finite"):
        bifurcations(model, "i", 0.0, float("inf"))
    with pytest.raises(ParameterError, match="c is out of range"):
        bifurcations(model, "c", -1.0, 1.0)
    with pytest.raises(sl.analyse.AnalysisError, match="no equilibrium"):
        bifurcations(sl.Izhikevich(), "i", 10.0, 20.0)
    with pytest.raises(ParameterError, match="needs a neuron model"):
        bifurcations(sl.LIF, "i", 0.0, 1.0)
    found = bifurcations(model, "i", 9.0, 10.0)
    with pytest.raises(ParameterError, match="no state 'V'"):
        found.hopf[0]["V"]
    with pytest.raises(ParameterError, match="no state 'V'"):
        found.branches[0]["V"]


def test_branches_end_at_the_threshold_of_a_reset():
    (branch,) = bifurcations(sl.LIF(), "i", 0.0, 5.0).branches
    assert branch.parameter[[0, -1]] == pytest.approx([0.0, 1.0], abs=1e-12)
    assert branch["v"][-1] == pytest.approx(1.0, abs=1e-12)
    # A smooth model rests above its threshold as well.
    (branch,) = bifurcations(sl.HodgkinHuxley(), "i", 100.0, 2000.0).branches
    assert branch["v"].max() > sl.HodgkinHuxley().v_threshold

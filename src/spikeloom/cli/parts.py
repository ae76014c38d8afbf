"""What is put into or around a neuron, each with an experiment that shows what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..experiments import Experiment
from ..models import (
    LIF,
    NMDA,
    AfterSpikeCurrents,
    Alpha,
    Conductance,
    Delta,
    Depression,
    DoubleExponential,
    EscapeRate,
    Exponential,
    GapJunction,
    Leak,
    Noisy,
    OrnsteinUhlenbeck,
    Peak,
    Refractory,
    ResetRule,
    SpikeThreshold,
    TsodyksMarkram,
    VoltageThreshold,
    With,
)
from ..models.base import NeuronModel
from ..stimuli import Steps, Stimulus, pulses


@dataclass(frozen=True)
class Part:
    """A class that needs a neuron to be shown: its name, a line about it, the experiment."""

    kind: type
    summary: str
    experiment: Experiment

    @property
    def name(self) -> str:
        """The class's name."""
        return self.kind.__name__


def parts() -> Mapping[str, tuple[Part, ...]]:
    """All parts by what they are: synapses, channels and noise, wrappers."""
    return {"synapses": _synapses(), "noise and channels": _sources(), "wrappers": _wrappers()}


def _cell(t_ref: float = 0.0) -> LIF | Refractory:
    """A cell of 20 ms and 100 Mohm, between -70 mV and -50 mV."""
    lif = LIF(tau=20.0, v_rest=-70.0, v_threshold=-50.0, v_reset=-60.0, r=0.1, reset_mechanism="value")
    return Refractory(lif, t_ref=t_ref) if t_ref else lif


def _spikes(weight: float, *times: float) -> Stimulus:
    """Spikes of one weight, each within the step that begins at its time."""
    return pulses(*((t - 0.02, t + 0.05) for t in times), amplitude=weight)


def _arriving(synapse: object, weight: float, duration: float = 120.0, *times: float) -> Experiment:
    times = times or (10.0, 20.0, 30.0, 40.0, 80.0)
    return Experiment(With(_cell(), syn=synapse), _spikes(weight, *times), duration, into="syn")


def _synapses() -> tuple[Part, ...]:
    train = (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 350.0, 400.0, 900.0)
    excitation, inhibition = Exponential(tau=5.0), Exponential(tau=10.0)
    return (
        Part(Delta, "the membrane jumps by the weight", _arriving(Delta(), 3.0)),
        Part(Exponential, "a current that jumps and decays", _arriving(excitation, 150.0)),
        Part(Alpha, "a current that rises and decays with one time constant", _arriving(Alpha(tau=4.0), 150.0)),
        Part(
            DoubleExponential,
            "a current that rises and decays with a time constant each",
            _arriving(DoubleExponential(tau_rise=2.0, tau_decay=8.0), 150.0),
        ),
        Part(
            Conductance,
            "a conductance: shunting inhibition towards -80 mV",
            _arriving(Conductance(inhibition, e=-80.0), 5.0),
        ),
        Part(
            NMDA,
            "a slow conductance that magnesium blocks at rest",
            _arriving(NMDA(DoubleExponential(tau_rise=3.0, tau_decay=100.0)), 5.0, 400.0, 20.0, 40.0, 60.0, 80.0),
        ),
        Part(
            Depression,
            "each spike finds less left to release",
            _arriving(Depression(excitation), 600.0, 1000.0, *train),
        ),
        Part(
            TsodyksMarkram,
            "facilitation: each spike releases more",
            _arriving(
                TsodyksMarkram(excitation, u_release=0.05, tau_recovery=150.0, tau_facilitation=1000.0),
                900.0, 1000.0, *train,
            ),
        ),
    )  # fmt: skip


def _sources() -> tuple[Part, ...]:
    other = Steps((20.0, -40.0), (80.0, -70.0), before=-70.0)
    noise = OrnsteinUhlenbeck(sigma=60.0, tau=5.0)
    return (
        Part(
            GapJunction,
            "an electrical coupling: follows the other cell's voltage",
            Experiment(With(_cell(), gap=GapJunction(g=5.0)), other, 140.0, into="v_other_gap"),
        ),
        Part(
            Leak, "a channel that is always open: here to -90 mV", Experiment(With(_cell(), leak=Leak(g=5.0, e=-90.0)))
        ),
        Part(OrnsteinUhlenbeck, "a noise current with memory", Experiment(With(_cell(), noise=noise), 180.0, 400.0)),
        Part(Noisy, "white noise in the membrane", Experiment(Noisy(_cell(), sigma_noise=1.0), 180.0, 400.0)),
        Part(
            EscapeRate,
            "a stochastic threshold: fires more often above it",
            Experiment(EscapeRate(_cell(), rate=0.2, width=2.0), 180.0, 400.0),
        ),
    )


def _wrappers() -> tuple[Part, ...]:
    def at(model: NeuronModel, current: float = 280.0, duration: float = 200.0) -> Experiment:
        return Experiment(model, current, duration)

    return (
        Part(Refractory, "holds the membrane after each spike", at(_cell(10.0))),
        Part(Peak, "shows a peak where a spike is", at(Peak(_cell(), v_peak=20.0))),
        Part(ResetRule, "a reset that keeps a part of the voltage", at(ResetRule(_cell(), f_v=0.3, delta_v=4.0))),
        Part(
            AfterSpikeCurrents,
            "currents that each spike sets off: the rate adapts",
            at(AfterSpikeCurrents(_cell(2.0)), 500.0, 400.0),
        ),
        Part(
            SpikeThreshold,
            "a threshold that each spike raises",
            at(SpikeThreshold(_cell(2.0), b_s=0.01, delta_theta_s=2.0), 350.0, 400.0),
        ),
        Part(
            VoltageThreshold,
            "a threshold that follows the voltage",
            at(VoltageThreshold(_cell(2.0), a_v=0.01, b_v=0.05), 320.0, 400.0),
        ),
        Part(With, "a neuron with any number of mechanisms: here one synapse", _arriving(Exponential(), 250.0)),
    )


__all__ = ["Part", "parts"]

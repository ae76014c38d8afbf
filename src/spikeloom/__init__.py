"""spikeloom: spiking neural networks in which a neuron is written once, as its equations.

Names are loaded when they are first used, so that ``import spikeloom`` and the command's ``--help`` stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import (
        analyse,
        energy,
        errors,
        fitting,
        learn,
        nets,
        nn,
        plasticity,
        plot,
        sim,
        solvers,
        stimuli,
        surrogates,
        units,
    )
    from .check import check_model
    from .coding import decode, encode
    from .data.current_clamp import Recording, load_recording
    from .errors import SpikeloomError
    from .experiments import Experiment
    from .fitting import fit
    from .kernels.backends import backend, last_kernels
    from .kernels.scan.scan import scan
    from .lang import math
    from .models import (
        ALIF,
        EIF,
        GLIF1,
        GLIF2,
        GLIF3,
        GLIF4,
        GLIF5,
        IF,
        LI,
        LIF,
        NMDA,
        QIF,
        AdEx,
        AfterSpikeCurrents,
        Alpha,
        Channel,
        Conductance,
        ConnorStevens,
        Delta,
        Depression,
        DoubleExponential,
        EscapeRate,
        Exponential,
        FitzHughNagumo,
        GapJunction,
        HindmarshRose,
        HodgkinHuxley,
        Izhikevich,
        Leak,
        Membrane,
        MorrisLecar,
        Noisy,
        OrnsteinUhlenbeck,
        Peak,
        Rates,
        Refractory,
        Relaxation,
        ResetRule,
        SpikeThreshold,
        TraubMiles,
        TsodyksMarkram,
        VoltageThreshold,
        WangBuzsaki,
        With,
    )
    from .models.base import NeuronModel
    from .models.declare import draw, gate, input, integral, option, param, state, timer
    from .nn.recording import record
    from .nn.state import State
    from .plasticity import STDP
    from .simulation import simulate
    from .surrogates import ATan, FastSigmoid, Gaussian, Sigmoid, Triangle
    from .units import Hz, Mohm, ms, mV, nA, nS, pA, pF, second, uA_per_cm2, uF_per_cm2

_MODULES = {
    "energy": "energy",
    "errors": "errors",
    "fitting": "fitting",
    "learn": "learn",
    "analyse": "analyse",
    "nets": "nets",
    "nn": "nn",
    "plasticity": "plasticity",
    "plot": "plot",
    "sim": "sim",
    "solvers": "solvers",
    "surrogates": "surrogates",
    "stimuli": "stimuli",
    "units": "units",
    "math": "lang.math",
    "encode": "coding.encode",
    "decode": "coding.decode",
}
# Neuron models, their parts and wrappers.
_PUBLISHED = (
    "AdEx", "AfterSpikeCurrents", "ALIF", "Alpha", "Channel", "Conductance", "ConnorStevens", "Delta",
    "Depression", "DoubleExponential", "EIF", "EscapeRate", "Exponential", "FitzHughNagumo", "GapJunction",
    "GLIF1", "GLIF2", "GLIF3", "GLIF4", "GLIF5", "HindmarshRose", "HodgkinHuxley", "IF", "Izhikevich", "Leak",
    "LI", "LIF", "Membrane", "MorrisLecar", "NMDA", "Noisy", "OrnsteinUhlenbeck", "Peak", "QIF", "Rates",
    "Refractory", "Relaxation", "ResetRule", "SpikeThreshold", "TraubMiles", "TsodyksMarkram",
    "VoltageThreshold", "WangBuzsaki", "With",
)  # fmt: skip
_NAMES = {
    "check_model": "check",
    "SpikeloomError": "errors",
    **dict.fromkeys(("Recording", "load_recording"), "data.current_clamp"),
    "fit": "fitting",
    "backend": "kernels.backends",
    "last_kernels": "kernels.backends",
    "scan": "kernels.scan.scan",
    "Experiment": "experiments",
    **dict.fromkeys(_PUBLISHED, "models"),
    "NeuronModel": "models.base",
    "STDP": "plasticity",
    **dict.fromkeys(("draw", "gate", "input", "integral", "option", "param", "state", "timer"), "models.declare"),
    "record": "nn.recording",
    "State": "nn.state",
    "simulate": "simulation",
    **dict.fromkeys(("ATan", "FastSigmoid", "Gaussian", "Sigmoid", "Triangle"), "surrogates"),
    **dict.fromkeys(("Hz", "Mohm", "mV", "ms", "nA", "nS", "pA", "pF", "second"), "units"),
    **dict.fromkeys(("uA_per_cm2", "uF_per_cm2"), "units"),
}

__all__ = [
    "ALIF", "ATan", "AdEx", "AfterSpikeCurrents", "Alpha", "Channel", "Conductance", "ConnorStevens", "Delta",
    "Depression", "DoubleExponential", "EIF", "EscapeRate", "Experiment", "Exponential", "FastSigmoid",
    "FitzHughNagumo", "GLIF1", "GLIF2", "GLIF3", "GLIF4", "GLIF5", "GapJunction", "Gaussian", "HindmarshRose",
    "HodgkinHuxley", "Hz", "IF", "Izhikevich", "LI", "LIF", "Leak", "Membrane", "Mohm", "MorrisLecar", "NMDA",
    "NeuronModel", "Noisy", "OrnsteinUhlenbeck", "Peak", "QIF", "Rates", "Recording", "Refractory",
    "Relaxation", "ResetRule", "STDP", "Sigmoid", "SpikeThreshold", "SpikeloomError", "State", "TraubMiles", "Triangle",
    "TsodyksMarkram", "VoltageThreshold", "WangBuzsaki", "With", "analyse", "backend", "check_model", "decode",
    "draw", "encode", "energy", "errors", "fit", "fitting", "gate", "input", "integral", "last_kernels", "learn",
    "load_recording", "mV", "math", "ms", "nA", "nS", "nets", "nn", "option", "pA", "pF", "param", "plasticity",
    "plot", "record", "scan", "second", "sim", "simulate", "solvers", "state", "stimuli", "surrogates", "timer",
    "uA_per_cm2", "uF_per_cm2", "units",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _MODULES:
        value: object = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    elif name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    else:
        from .errors import did_you_mean

        raise AttributeError(f"spikeloom has no {name!r}. {did_you_mean(name, __all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})

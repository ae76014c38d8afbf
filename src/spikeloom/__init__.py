"""spikeloom: spiking neural networks in which a neuron is written once, as its equations.

Names are loaded when they are first used, so that ``import spikeloom`` and the command's ``--help`` stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import analyse, errors, fitting, learn, nn, plot, solvers, stimuli, surrogates, units
    from .check import check_model
    from .coding import decode, encode
    from .data.current_clamp import Recording, load_recording
    from .errors import SpikeloomError
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
    from .simulation import simulate
    from .surrogates import ATan, FastSigmoid, Gaussian, Sigmoid, Triangle
    from .units import Hz, Mohm, ms, mV, nA, nS, pA, pF, second, uA_per_cm2, uF_per_cm2

_MODULES = {
    "errors": "errors",
    "fitting": "fitting",
    "learn": "learn",
    "analyse": "analyse",
    "nn": "nn",
    "plot": "plot",
    "solvers": "solvers",
    "surrogates": "surrogates",
    "stimuli": "stimuli",
    "units": "units",
    "math": "lang.math",
    "encode": "coding.encode",
    "decode": "coding.decode",
}
_NAMES = {
    "check_model": "check",
    "SpikeloomError": "errors",
    **dict.fromkeys(("Recording", "load_recording"), "data.current_clamp"),
    "fit": "fitting",
    "backend": "kernels.backends",
    "last_kernels": "kernels.backends",
    "scan": "kernels.scan.scan",
    **dict.fromkeys(("ALIF", "IF", "LI", "LIF", "HodgkinHuxley", "Peak", "Refractory"), "models"),
    **dict.fromkeys(("FitzHughNagumo", "HindmarshRose", "Izhikevich", "MorrisLecar"), "models"),
    **dict.fromkeys(("EIF", "AdEx", "QIF", "GLIF1", "GLIF2", "GLIF3", "GLIF4", "GLIF5"), "models"),
    **dict.fromkeys(("AfterSpikeCurrents", "ResetRule", "SpikeThreshold", "VoltageThreshold"), "models"),
    **dict.fromkeys(
        (
            "Channel",
            "Leak",
            "Rates",
            "Relaxation",
            "ConnorStevens",
            "Membrane",
            "With",
            "EscapeRate",
            "Noisy",
            "OrnsteinUhlenbeck",
            "NMDA",
            "Alpha",
            "Conductance",
            "Delta",
            "Depression",
            "DoubleExponential",
            "Exponential",
            "GapJunction",
            "TsodyksMarkram",
            "TraubMiles",
            "WangBuzsaki",
        ),
        "models",
    ),
    "NeuronModel": "models.base",
    **dict.fromkeys(("draw", "gate", "input", "integral", "option", "param", "state", "timer"), "models.declare"),
    "record": "nn.recording",
    "State": "nn.state",
    "simulate": "simulation",
    **dict.fromkeys(("ATan", "FastSigmoid", "Gaussian", "Sigmoid", "Triangle"), "surrogates"),
    **dict.fromkeys(("Hz", "Mohm", "mV", "ms", "nA", "nS", "pA", "pF", "second"), "units"),
    **dict.fromkeys(("uA_per_cm2", "uF_per_cm2"), "units"),
}

__all__ = [
    "Recording", "fit", "fitting", "load_recording",
    "Channel", "Leak", "Rates", "Relaxation", "ConnorStevens", "Membrane", "With", "EscapeRate", "Noisy",
    "OrnsteinUhlenbeck", "NMDA", "Alpha", "Conductance", "Delta", "Depression", "DoubleExponential",
    "Exponential", "GapJunction", "TsodyksMarkram", "TraubMiles", "WangBuzsaki", "draw", "gate", "integral",
    "stimuli", "analyse",
    "EIF", "AdEx", "QIF", "GLIF1", "GLIF2", "GLIF3", "GLIF4", "GLIF5",
    "AfterSpikeCurrents", "ResetRule", "SpikeThreshold", "VoltageThreshold",
    "ALIF", "ATan", "FastSigmoid", "Gaussian", "HodgkinHuxley", "Hz", "IF", "LI", "LIF", "Mohm", "NeuronModel",
    "Peak", "Refractory", "Sigmoid", "SpikeloomError", "State", "Triangle", "backend", "check_model", "decode",
    "encode", "errors", "input", "last_kernels", "learn", "mV", "math", "ms", "nA", "nS", "nn", "option", "pA",
    "pF", "param", "plot", "record", "scan", "second", "simulate", "solvers", "state", "surrogates", "timer",
    "uA_per_cm2", "uF_per_cm2", "units", "FitzHughNagumo", "HindmarshRose", "Izhikevich", "MorrisLecar",
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

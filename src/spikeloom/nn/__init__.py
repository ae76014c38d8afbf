"""Torch modules: clock-driven, differentiable, stateless between calls."""

from .batch_norm import BatchNorm, BatchNormThroughTime, TemporalBatchNorm, ThresholdBatchNorm
from .containers import Residual, Sequential
from .dropout import Dropout
from .inference import Inference, compile_inference
from .layer import Layer
from .neuron import Neuron
from .recurrent import Recurrent
from .state import State

__all__ = [
    "BatchNorm",
    "BatchNormThroughTime",
    "Dropout",
    "Inference",
    "Layer",
    "Neuron",
    "Recurrent",
    "Residual",
    "Sequential",
    "State",
    "TemporalBatchNorm",
    "ThresholdBatchNorm",
    "compile_inference",
]

"""Torch modules: clock-driven, differentiable, stateless between calls."""

from .containers import Residual, Sequential
from .dropout import Dropout
from .layer import Layer
from .neuron import Neuron
from .recurrent import Recurrent
from .state import State

__all__ = ["Dropout", "Layer", "Neuron", "Recurrent", "Residual", "Sequential", "State"]

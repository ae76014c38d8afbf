"""Sinabs' ``LIF`` and ``LIFRecurrent``; the batch comes before time."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

from .training import DECAY, Frame, started, versions


def surrogate(v_mem: Any, spike_threshold: Any) -> Any:
    """The gradient of a spike; Sinabs takes a function of one's own."""
    return 1.0 / (1.0 + (v_mem - spike_threshold).abs()) ** 2


class Sinabs(Frame):
    """A time constant that is not trained, and an input that is not scaled."""

    axis = 1

    def options(self) -> dict[str, Any]:
        """What both kinds of layers take."""
        activation: Any = importlib.import_module("sinabs.activation")
        return {
            "tau_mem": -1.0 / math.log(DECAY), "spike_threshold": self.torch.tensor(1.0), "norm_input": False,
            "spike_fn": activation.SingleSpike, "reset_fn": activation.MembraneReset(), "surrogate_grad_fn": surrogate,
        }  # fmt: skip

    def lif(self) -> Callable[[Any], Any]:
        layers: Any = importlib.import_module("sinabs.layers")
        return self.run_of(layers.LIF(**self.options()))

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        layers: Any = importlib.import_module("sinabs.layers")
        connect = self.torch.nn.Linear(*w_rec.shape, bias=False)
        connect.weight = w_rec
        run = self.run_of(layers.LIFRecurrent(rec_connect=connect, **self.options()))
        return lambda x: run(self.torch.nn.functional.linear(x, w_in))

    def run_of(self, layer: Any) -> Callable[[Any], Any]:
        """Each sequence starts anew."""
        layer.tau_mem.requires_grad_(False)

        def run(x: Any) -> Any:
            layer.reset_states()
            return layer(x)

        return run


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    found = versions("sinabs")
    importlib.import_module("sinabs.layers")
    return found


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(Sinabs, spec)

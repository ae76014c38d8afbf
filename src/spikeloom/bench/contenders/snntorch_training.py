"""snnTorch's ``Leaky``, in a loop over time; layers without state are called once over all steps."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .training import DECAY, Frame, started, versions


class SnnTorch(Frame):
    """Its reset comes one step late by default, which changes nothing for a reset to zero."""

    def neuron(self) -> Any:
        """Reset to zero, without gradient through it."""
        snn: Any = importlib.import_module("snntorch")
        return snn.Leaky(beta=DECAY, spike_grad=snn.surrogate.fast_sigmoid(slope=1), reset_mechanism="zero")

    def lif(self) -> Callable[[Any], Any]:
        neuron = self.neuron()
        return lambda x: self.over_time(neuron, x, None)

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        neuron, linear = self.neuron(), self.torch.nn.functional.linear
        return lambda x: self.over_time(neuron, linear(x, w_in), w_rec)

    def over_time(self, neuron: Any, x: Any, w_rec: Any) -> Any:
        """Spikes of all steps."""
        membrane, found = neuron.reset_mem(), []
        last = self.torch.zeros_like(x[0])
        for now in x:
            now = now if w_rec is None else now + self.torch.nn.functional.linear(last, w_rec)
            last, membrane = neuron(now, membrane)
            found.append(last)
        return self.torch.stack(found)


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    return versions("snntorch")


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(SnnTorch, spec)

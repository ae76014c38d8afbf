"""SpikingJelly's ``LIFNode`` over whole sequences."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .training import DECAY, Frame, started, versions

_PARTS = "spikingjelly.activation_based"


class SpikingJelly(Frame):
    """Its SuperSpike has the slope 1, whatever its factor."""

    def node(self, mode: str) -> Any:
        """Input that is not scaled by the leak, reset to zero, no gradient through it."""
        neuron, surrogate = (importlib.import_module(f"{_PARTS}.{name}") for name in ("neuron", "surrogate"))
        return neuron.LIFNode(
            tau=1 / (1 - DECAY), decay_input=False, v_threshold=1.0, v_reset=0.0, detach_reset=True, step_mode=mode,
            surrogate_function=surrogate.SuperSpike(alpha=1.0),
        )  # fmt: skip

    def lif(self) -> Callable[[Any], Any]:
        node = self.node("m")

        def run(x: Any) -> Any:
            node.reset()
            return node(x)

        return run

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        layer, functional = (importlib.import_module(f"{_PARTS}.{name}") for name in ("layer", "functional"))
        linear = self.torch.nn.functional.linear
        together = lambda y, x: x + linear(y, w_rec)  # noqa: E731
        container = layer.ElementWiseRecurrentContainer(self.node("s"), together, step_mode="m")

        def run(x: Any) -> Any:
            functional.reset_net(container)
            return container(linear(x, w_in))

        return run


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    found = versions("spikingjelly")
    importlib.import_module(f"{_PARTS}.neuron")
    return found


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(SpikingJelly, spec)

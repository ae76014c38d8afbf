"""Norse's ``LIFBoxCell``, lifted over time, and its ``LIFRecurrent``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .training import DECAY, Frame, started, versions


class Norse(Frame):
    """Its neuron multiplies the input by dt / tau = 1/8, so that weights and input are 8 times as large here."""

    scale = 1 / (1 - DECAY)

    def lif(self) -> Callable[[Any], Any]:
        norse: Any = importlib.import_module("norse.torch")
        number = self.torch.tensor

        def reset(spikes: Any, v: Any, to: Any, threshold: Any) -> Any:
            return norse.reset_value(spikes.detach(), v, to, threshold)

        numbers = {"tau_mem_inv": number(1 - DECAY), "v_th": number(1.0), "alpha": number(1.0)}
        parameters = norse.LIFBoxParameters(method="super", reset_method=reset, **numbers)
        layer = norse.Lift(norse.LIFBoxCell(parameters, dt=1.0))
        return lambda x: layer(x)[0]

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        norse: Any = importlib.import_module("norse.torch")
        number = self.torch.tensor
        # The current decays within one step, so that there is none from the step before.
        numbers = {"tau_syn_inv": number(1.0), "tau_mem_inv": number(1 - DECAY), "v_th": number(1.0)}
        parameters = norse.LIFParameters(method="super", alpha=number(1.0), **numbers)
        how = {"input_weights": w_in, "recurrent_weights": w_rec, "autapses": True, "dt": 1.0}
        layer = norse.LIFRecurrent(w_in.shape[1], w_in.shape[0], parameters, **how)
        return lambda x: layer(x)[0]


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    found = versions("norse")
    importlib.import_module("norse.torch")
    return found


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(Norse, spec)

"""spikeloom itself: its modules around torch's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import spikeloom as sl
from spikeloom.kernels.memory import pool

from .training import DECAY, Frame, started, versions


class Spikeloom(Frame):
    """``sl.nn.Sequential`` of torch's layers and neurons; inference is compiled."""

    def build(self) -> None:
        torch, kind, sizes = self.torch, self.spec["kind"], self.spec["sizes"]
        if kind == "neurons":
            self.parts: list[Any] = [self.neuron()]
        elif kind == "recurrent":
            recurrent = sl.nn.Recurrent(self.neuron(), sizes[1])
            recurrent.weight = self.weights[1]
            self.parts = [self.filled(torch.nn.Linear(sizes[0], sizes[1], bias=False), 0), recurrent]
        elif kind == "conv":
            self.parts = []
            for k in range(2):
                layer = torch.nn.Conv2d(sizes[k], sizes[k + 1], 3, padding=1, bias=False)
                self.parts += [self.filled(layer, k), self.neuron(), torch.nn.AvgPool2d(2)]
            last = torch.nn.Linear(self.weights[2].shape[1], sizes[3], bias=False)
            self.parts += [torch.nn.Flatten(), self.filled(last, 2)]
        else:
            self.parts = []
            for k in range(len(self.weights)):
                layer = torch.nn.Linear(sizes[k], sizes[k + 1], bias=False)
                self.parts += [self.filled(layer, k), self.neuron()]
        self.net: Any = sl.nn.Sequential(*self.parts)
        if self.spec["mode"] == "infer" and self.device.type == "cpu":
            self.net = sl.nn.compile_inference(self.net)

    def fresh(self) -> None:
        super().fresh()
        pool().forget()

    def neuron(self) -> Any:
        """The neuron of all contenders."""
        model = sl.LIF(tau=-1 / math.log(DECAY), r=1 / (1 - DECAY), reset_mechanism="value", v_reset=0.0)
        return sl.nn.Neuron(model, surrogate=sl.FastSigmoid())

    def filled(self, layer: Any, index: int) -> Any:
        """The layer with the weights of all contenders."""
        layer.weight = self.weights[index]
        return layer

    def output(self, x: Any) -> Any:
        y = self.net(x)[0]
        kind = self.spec["kind"]
        if kind == "conv":
            return y.mean(0)
        self.spikes = [y]
        if kind == "recurrent":
            return self.torch.nn.functional.linear(y.sum(0), self.weights[2])
        return y.sum(0) if kind == "mlp" else y

    def compared(self) -> dict[str, Any]:
        found = super().compared()
        if self.spec["mode"] != "infer":
            spikes = self.of_layers()
            found |= {f"spikes {len(spikes) - k}": s.cpu().numpy() for k, s in enumerate(spikes)}
        return found

    def of_layers(self) -> list[Any]:
        """Spikes of all layers."""
        y, spikes = self.x, []
        with self.torch.no_grad():
            for part in self.parts:
                y = sl.nn.Sequential(part)(y)[0]
                spikes += [y] if isinstance(part, (sl.nn.Neuron, sl.nn.Recurrent)) else []
        return spikes


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    return {"spikeloom": sl.__version__, **versions("numba")}


def warm(spec: dict[str, Any]) -> None:
    """Compile with a small batch."""
    made = Spikeloom({**spec, "steps": max(2, spec["steps"] // 10), "batch": max(1, spec["batch"] // 2)})
    made.call()


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(Spikeloom, spec)

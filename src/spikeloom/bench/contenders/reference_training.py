"""The neuron in plain torch, one step at a time: what all contenders are held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .training import DECAY, Frame, started, versions


class Reference(Frame):
    """A loop in Python."""

    def build(self) -> None:
        torch = self.torch

        class Spike(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, over: Any) -> Any:
                ctx.save_for_backward(over)
                return (over > 0).to(over.dtype)

            @staticmethod
            def backward(ctx: Any, grad: Any) -> Any:
                return grad / (1.0 + ctx.saved_tensors[0].abs()) ** 2

        self.spike = Spike.apply
        super().build()

    def lif(self) -> Callable[[Any], Any]:
        return lambda x: self.over_time(x, None)

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        return lambda x: self.over_time(self.torch.nn.functional.linear(x, w_in), w_rec)

    def over_time(self, x: Any, w_rec: Any) -> Any:
        """Spikes of all steps."""
        v = last = self.torch.zeros_like(x[0])
        found = []
        for now in x:
            u = DECAY * v + (now if w_rec is None else now + self.torch.nn.functional.linear(last, w_rec))
            last = self.spike(u - 1.0)
            v = u * (1.0 - last.detach())
            found.append(last)
        return self.torch.stack(found)


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    return versions()


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(Reference, spec)

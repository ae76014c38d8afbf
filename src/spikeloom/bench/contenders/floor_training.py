"""Floors: the nets without neurons, once over all steps or step by step; for neurons alone, copying their bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .training import Frame, started, versions


class Merged(Frame):
    """All products once over all steps."""

    def build(self) -> None:
        if self.spec["kind"] == "neurons":
            # Forward reads x and writes spikes and the membrane, backward reads two and writes a gradient: 20 bytes.
            count = self.x.numel() * 5 // 2
            self.source, self.target = (make(count, device=self.device) for make in (self.torch.rand, self.torch.empty))
        super().build()

    def call(self) -> None:
        if self.spec["kind"] == "neurons":
            self.target.copy_(self.source)
        else:
            super().call()

    def lif(self) -> Callable[[Any], Any]:
        return lambda x: x

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        linear = self.torch.nn.functional.linear
        return lambda x: linear(linear(x, w_in), w_rec)


class Steps(Merged):
    """Step by step, which is cheaper where all steps together leave the cache: the whole net, or recurrent products."""

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        torch = self.torch

        class Products(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, w: Any) -> Any:
                ctx.save_for_backward(x, w)
                y = torch.empty_like(x)
                for now, out in zip(x, y, strict=True):
                    torch.mm(now, w.t(), out=out)
                return y

            @staticmethod
            def backward(ctx: Any, grad: Any) -> Any:
                x, w = ctx.saved_tensors
                grad, back = grad.contiguous(), torch.empty_like(x)
                for now, out in zip(grad, back, strict=True):
                    torch.mm(now, w, out=out)
                return back, grad.flatten(0, 1).t() @ x.flatten(0, 1)

        return lambda x: Products.apply(torch.nn.functional.linear(x, w_in), w_rec)

    def output(self, x: Any) -> Any:
        if self.spec["kind"] == "recurrent":
            return super().output(x)
        parts = [super(Steps, self).output(now.unsqueeze(0)) for now in x]
        total = self.torch.stack(parts).sum(0)
        return total / len(x) if self.spec["kind"] == "conv" else total


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    return versions()


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build."""
    return started(Steps if spec["floor"] == "steps" else Merged, spec)

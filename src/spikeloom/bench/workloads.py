"""The workloads of ``spikeloom bench train``; torch-free.

The neuron is the same everywhere: u[t] = 0.875 v[t-1] + x[t], a spike where u > 1, then v = 0 (no gradient through the
reset), and the gradient of a spike is 1 / (1 + |u - 1|)^2. 0.875 is an exact binary number, and the surrogate's slope
is the one that every peer's own version can express.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """``mode`` is both (forward and backward), train (an Adam step) or infer; ``sizes`` are neurons or channels."""

    name: str
    kind: str
    mode: str
    steps: int
    batch: int
    sizes: tuple[int, ...]
    density: float = 0.1


TASKS = {
    t.name: t
    for t in (
        Task("neurons-100", "neurons", "both", 100, 32, (1024,)),
        Task("neurons-500", "neurons", "both", 500, 16, (512,)),
        Task("mlp", "mlp", "train", 100, 128, (784, 512, 512, 10)),
        Task("recurrent", "recurrent", "train", 250, 128, (700, 256, 20), density=0.02),
        Task("conv", "conv", "train", 16, 32, (2, 32, 64, 10)),
        Task("infer-1", "mlp", "infer", 100, 1, (784, 512, 512, 10)),
        Task("infer-128", "mlp", "infer", 100, 128, (784, 512, 512, 10)),
    )
}

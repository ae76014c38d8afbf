"""The networks of ``spikeloom bench simulate``; torch-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """A network of ``n`` neurons; ``kind`` is what contenders call it.

    ``spread`` is the standard deviation of the rate of one network over seeds, connections included, as a share of the
    rate, measured over 8 to 16 seeds of 1 s each; ``scheme`` is how much rates may differ because contenders integrate
    differently.
    """

    name: str
    kind: str
    n: int
    spread: float
    scheme: float = 0.01
    plain: bool = False


WORKLOADS = {
    w.name: w
    for w in (
        Workload("cuba", "cuba", 4000, spread=0.044, plain=True),
        Workload("cuba-20k", "cuba", 20_000, spread=0.005, plain=True),
        Workload("cuba-100k", "cuba", 100_000, spread=0.005, plain=True),
        Workload("coba", "coba", 4000, spread=0.065, scheme=0.03),
        Workload("coba-hh", "coba-hh", 4000, spread=0.082, scheme=0.05),
        Workload("brunel", "brunel", 12_500, spread=0.006, plain=True),
        Workload("izhikevich", "izhikevich", 1000, spread=0.016),
    )
}

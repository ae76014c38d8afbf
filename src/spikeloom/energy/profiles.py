"""What an operation costs on a named piece of hardware, and where the number comes from.

Every constant is of a published table; none is ours. What no table says is not priced, and the report says so.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

from .counts import LayerCounts, Measured
from .operations import elementary
from .traffic import Reuse, traffic

PJ = 1e-12


@dataclasses.dataclass(frozen=True)
class Cost:
    """Joules: ``compute`` at synapses, pools and norms, ``neurons``, ``memory``.

    ``unpriced`` counts operations that the hardware cannot do; a cost with any is a lower bound.
    """

    compute: float = 0.0
    neurons: float = 0.0
    memory: float = 0.0
    unpriced: float = 0.0

    @property
    def total(self) -> float:
        """The sum of the three parts, in joules."""
        return self.compute + self.neurons + self.memory

    def __add__(self, other: Cost) -> Cost:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Cost(*(a + b for a, b in pairs))

    def __mul__(self, factor: float) -> Cost:
        return Cost(*(part * factor for part in dataclasses.astuple(self)))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Profile(ABC):
    """Named hardware: ``title`` for people, ``source`` of every constant."""

    name: str
    title: str
    source: str

    @abstractmethod
    def cost(self, layer: LayerCounts, run: Measured) -> Cost:
        """Joules of one layer over the whole run."""


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """Joules of an accumulate and a multiplication of synapses, and of an addition and multiplication of neurons."""

    ac: float
    mul: float
    neuron_add: float
    neuron_mul: float

    @property
    def mac(self) -> float:
        """A multiplication and the accumulate of its product."""
        return self.mul + self.ac


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memories by size: (capacity in bytes, joules per byte), smallest first; the last has no limit.

    An array lives in the smallest memory that holds it alone.
    """

    levels: tuple[tuple[float, float], ...]
    reuse: Reuse

    def joules(self, layer: LayerCounts, run: Measured, *, skips_zeros: bool = True) -> float:
        """What the layer moves, at the price of where it lives."""
        arrays = traffic(layer, run, self.reuse, skips_zeros=skips_zeros)
        return sum(moved.bytes * self._per_byte(moved.size) for moved in arrays)

    def _per_byte(self, size: float) -> float:
        return next((price for capacity, price in self.levels if size <= capacity), self.levels[-1][1])


@final
@dataclasses.dataclass(frozen=True)
class DigitalLogic(Profile):
    """Adders and multipliers of a digital process, by width of the weights in bits.

    ``divide`` is the price of a division in multiplications. With ``skips_zeros`` only effective operations are paid,
    of an ANN as of a spiking net; without it all dense ones. Without ``memory`` moving data is free, as much of the
    literature has it.
    """

    arithmetic: Mapping[int, Arithmetic]
    divide: float
    memory: Memory | None = None
    skips_zeros: bool = True

    def cost(self, layer: LayerCounts, run: Measured) -> Cost:
        at = self.arithmetic[run.bits]
        compute, s = 0.0, layer.synapses
        if s is not None:
            paid = s.effective if self.skips_zeros else s.dense
            compute = paid * (at.ac if s.spikes else at.mac) + s.biases * at.neuron_add
        e = elementary(layer.operations)
        others = e.adds * at.neuron_add + (e.muls + self.divide * e.divs) * at.neuron_mul
        memory = self.memory.joules(layer, run, skips_zeros=self.skips_zeros) if self.memory else 0.0
        if layer.neurons is None:
            return Cost(compute + others, 0.0, memory)
        return Cost(compute, others, memory)


@final
@dataclasses.dataclass(frozen=True)
class EventChip(Profile):
    """A neuromorphic chip, by synaptic event and neuron update, memory included in both.

    It takes spikes only: multiply-accumulates, and pooling or norms that cannot be folded, are not priced.
    """

    event: float
    update: float

    def cost(self, layer: LayerCounts, run: Measured) -> Cost:
        if layer.synapses is not None:
            return Cost(layer.synapses.acs * self.event, unpriced=layer.synapses.macs)
        if layer.neurons is None:
            return Cost(unpriced=sum(layer.operations.values()))
        if not layer.neurons.states:  # an activation of an ANN
            return Cost(unpriced=layer.neurons.updates)
        return Cost(neurons=layer.neurons.updates * self.update)


# Multiplying an 8-bit weight gives 16 bits, and hundreds are added up: so sums have 32 bits, as neurons have.
_45NM: Mapping[int, Arithmetic] = {
    32: Arithmetic(ac=0.9 * PJ, mul=3.7 * PJ, neuron_add=0.9 * PJ, neuron_mul=3.7 * PJ),
    16: Arithmetic(ac=0.9 * PJ, mul=1.1 * PJ, neuron_add=0.9 * PJ, neuron_mul=3.7 * PJ),
    8: Arithmetic(ac=0.1 * PJ, mul=0.2 * PJ, neuron_add=0.1 * PJ, neuron_mul=3.1 * PJ),
}
_SRAM = ((8 * 1024, 10 / 8 * PJ), (32 * 1024, 20 / 8 * PJ), (1024**2, 100 / 8 * PJ), (float("inf"), 1950 / 8 * PJ))
_DIVIDE = 7.1
_HOROWITZ = (
    "Operations: M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, pp. 10-14, 45 nm "
    "at 0.9 V: float32 add 0.9 pJ, multiply 3.7 pJ; float16 multiply 1.1 pJ; int32 add 0.1 pJ, multiply 3.1 pJ; int8 "
    "multiply 0.2 pJ; sums in 32 bits. A division is 7.1 multiplications (measured on a Cortex-M4F: Front. Neurol. "
    "2022, PMC8934428, table 3)."
)
_CACHES = (
    " Memory, same source, per 64 bits: SRAM of 8 KB 10 pJ, 32 KB 20 pJ, 1 MB 100 pJ, DRAM 1.3 to 2.6 nJ (1.95 used); "
    "an array lives in the smallest that holds it."
)
ARITHMETIC = DigitalLogic(
    "45nm-arithmetic", "45 nm, arithmetic alone", _HOROWITZ + " Moving data is taken as free.", _45NM, _DIVIDE
)
DENSE = DigitalLogic(
    "45nm-dense", "45 nm, zeros not skipped", _HOROWITZ + _CACHES, _45NM, _DIVIDE,
    Memory(_SRAM, "full"), skips_zeros=False,
)  # fmt: skip
REUSE = DigitalLogic(
    "45nm-reuse", "45 nm, data read once", _HOROWITZ + _CACHES, _45NM, _DIVIDE,
    Memory(_SRAM, "full"),
)  # fmt: skip
NO_REUSE = DigitalLogic(
    "45nm-no-reuse", "45 nm, data read per operation", _HOROWITZ + _CACHES, _45NM, _DIVIDE,
    Memory(_SRAM, "none"),
)  # fmt: skip
LOIHI = EventChip(
    "loihi", "Loihi, 14 nm",
    "M. Davies and others, Loihi: a neuromorphic manycore processor with on-chip learning, IEEE Micro 38(1), 2018, "
    "table 2, at 0.75 V, from pre-silicon simulation: 23.6 pJ per synaptic event, 81 pJ per update of an active neuron "
    "(52 pJ inactive; every update is priced as active). Spikes between cores are not included.",
    23.6 * PJ, 81 * PJ,
)  # fmt: skip
TRUENORTH = EventChip(
    "truenorth", "TrueNorth, 28 nm",
    "P. Merolla and others, A million spiking-neuron integrated circuit, Science 345, 2014: 26 pJ per synaptic event, "
    "the whole chip's power at 20 Hz and 128 active synapses per neuron, so neuron updates and leakage at that load "
    "are included and are not priced again.",
    26 * PJ, 0.0,
)  # fmt: skip
# The first is what short tables show: it prices memory, and skips the zeros of both nets.
PROFILES: tuple[Profile, ...] = (REUSE, NO_REUSE, DENSE, ARITHMETIC, LOIHI, TRUENORTH)

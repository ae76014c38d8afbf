"""Text for Triton that takes a population through the steps of a window, its states in registers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from ...lang.emit import identifier
from ...lang.graph import Graph
from ..program import NEXT, SHOWN, SPIKE, STATE, STREAM, constants_of
from ..scan.gpu import step_lines
from ..scan.plan import forward_plan
from .gpu_random import random_functions
from .gpu_sources import LISTED, module

# Of each drive: its key, whether neurons have weights of their own, whether means change, whether neurons have means of
# their own; and where they are summed, into how many pieces a mean falls and how far each is summed.
DRIVE_NUMBERS = ("key", "many", "changing", "each", "pieces", "most")
# Of each noise: its key, whether neurons have amplitudes of their own, for how many steps a number is held.
NOISE_NUMBERS = ("key", "many", "every")


@dataclasses.dataclass(frozen=True)
class Drive:
    """Poisson input into ``port``: by inversion of a table of ``2**bits - 1`` numbers, or (0) by summing."""

    port: str
    bits: int


@dataclasses.dataclass(frozen=True)
class Shape:
    """What decides on the kernel of a population.

    ``text`` is its step; ``rings`` are ports that spikes reach, ``added`` says to which state the weights of a port are
    simply added; ``held`` are streams with rows of their own, ``noises`` those among them that noise is added to,
    ``random`` those of random numbers, ``coupled`` those of one row; ``single`` the constants of one number. ``traced``
    are states whose values after each step of a window are kept, as ``shown.NAME`` where they are shown otherwise than
    they are.
    """

    text: str
    precision: str
    rings: tuple[str, ...]
    added: tuple[tuple[str, str], ...]
    drives: tuple[Drive, ...]
    held: tuple[str, ...]
    noises: tuple[str, ...]
    random: tuple[str, ...]
    coupled: tuple[str, ...]
    single: frozenset[str]
    traced: tuple[str, ...]

    @functools.cached_property
    def graph(self) -> Graph:
        """The step."""
        shown = tuple(n.removeprefix(SHOWN) for n in self.traced if n.startswith(SHOWN))
        return forward_plan(self.text, shown).forward

    @property
    def fires(self) -> bool:
        """Whether it makes spikes."""
        return SPIKE in self.graph.outputs

    @property
    def states(self) -> list[str]:
        """Names of the states, ``s.NAME``."""
        return [n for n in self.graph.inputs if n.startswith(STATE)]

    @property
    def constants(self) -> list[str]:
        """Names of the constants."""
        return constants_of(self.graph)

    @property
    def numbers(self) -> list[str]:
        """Whole numbers that the kernel needs, in order: it finds them in an array, not to be compiled for each."""
        of_drives = [f"{n}_of_drive_{k}" for k in range(len(self.drives)) for n in DRIVE_NUMBERS]
        of_ports = [f"rows_of_{identifier(n)}" for n in (*self.rings, *self.held)]
        of_noises = [f"{n}_of_noise_{k}" for k in range(len(self.noises)) for n in NOISE_NUMBERS]
        return ["back", *of_ports, *(f"key_of_{identifier(n)}" for n in self.random), *of_noises, *of_drives]

    @property
    def arrays(self) -> list[str]:
        """The kernel's arrays, in order, beside ``numbers`` and ``reals`` (what a unit is worth, by ring)."""
        found = [f"{identifier(n)}_all" for n in (*self.states, *self.constants, *self.held, *self.coupled)]
        found += [f"trace_{identifier(n)}" for n in self.traced] + [f"ring_{identifier(n)}" for n in self.rings]
        found += [f"sd_of_noise_{k}" for k in range(len(self.noises))]
        found += [f"{n}_of_drive_{k}" for k in range(len(self.drives)) for n in ("table", "weights")]
        return [*found, *(["neurons", "counts"] if self.fires else [])]

    @property
    def ports(self) -> list[str]:
        """Ports that something reaches."""
        return list(dict.fromkeys([*self.rings, *(d.port for d in self.drives)]))


@functools.lru_cache(maxsize=256)
def advance_source(shape: Shape, label: str) -> str:
    """The module of one kernel."""
    kinds = {n.removeprefix(STREAM).partition(".")[0] for n in shape.random}
    kinds |= {"normal"} if shape.noises else set()
    kinds |= {"tabulated" if d.bits else "summed" for d in shape.drives}
    functions = [*random_functions(kinds), *([*LISTED.strip().splitlines(), "", ""] if shape.fires else [])]
    functions += [*step_lines(shape.graph, shape.precision), "", ""]
    kernel = [
        '@triton.jit(do_not_specialize=["steps", "width"])',
        f"def advance(clock, steps, width, {', '.join(['numbers', 'reals', *shape.arrays])}, block: tl.constexpr):",
        "    lanes = tl.cast(tl.program_id(0), tl.int64) * block + tl.arange(0, block)",
        "    inside = lanes < width",
        "    begin, first = tl.load(clock), tl.load(clock + 1)",
        *(f"    {line}" for line in _before(shape)),
        "    for k in range(0, steps):",
        "        now = begin + k",
        *(f"        {line}" for line in _inside(shape)),
        *(f"    tl.store({identifier(n)}_all + lanes, {identifier(n)}, mask=inside)" for n in shape.states),
    ]
    return module(f"{label}: steps of a population, {_dtype(shape)}", functions, "\n".join(kernel))


def _dtype(shape: Shape) -> str:
    return {"f32": "float32", "f64": "float64"}[shape.precision]


def _before(shape: Shape) -> Iterator[str]:
    for k, name in enumerate(shape.numbers):
        yield f"{name} = tl.load(numbers + {k})"
    for k, port in enumerate(shape.rings):
        yield f"unit_of_{identifier(port)} = tl.cast(tl.load(reals + {k}), tl.{_dtype(shape)})"
    for name in shape.constants:
        variable = identifier(name)
        if name in shape.single:
            # A block of one value, as the interpreter cannot combine conditions on numbers and on blocks.
            yield f"{variable} = tl.broadcast_to(tl.load({variable}_all), (block,))"
        else:
            yield f"{variable} = tl.load({variable}_all + lanes, mask=inside, other=0.0)"
    for name in (*shape.states, *shape.coupled):
        yield f"{identifier(name)} = tl.load({identifier(name)}_all + lanes, mask=inside, other=0.0)"
    for k in range(len(shape.drives)):
        yield f"weight_{k} = tl.load(weights_of_drive_{k} + lanes * many_of_drive_{k}, mask=inside, other=0.0)"
    for k in range(len(shape.noises)):
        yield f"sd_{k} = tl.load(sd_of_noise_{k} + lanes * many_of_noise_{k}, mask=inside, other=0.0)"


def _inside(shape: Shape) -> Iterator[str]:
    """Lines of a step: what arrives, the step, what is merely added, what is kept."""
    dtype, to_state = _dtype(shape), dict(shape.added)
    for port in shape.ports:
        yield from _arrived(shape, port)
    for name in shape.held:
        at = f"(now - first) % rows_of_{identifier(name)} * width + lanes"
        yield f"{identifier(name)} = tl.load({identifier(name)}_all + {at}, mask=inside, other=0.0)"
    for k, name in enumerate(shape.noises):
        drawn = f"normal(key_of_noise_{k}, now // every_of_noise_{k}, lanes)"
        yield f"{identifier(name)} += sd_{k} * tl.cast({drawn}, tl.{dtype})"
    for name in shape.random:
        kind, more = name.removeprefix(STREAM).partition(".")[0], ""
        if kind == "uniform":
            more = ", now * 0"
        yield f"{identifier(name)} = tl.cast({kind}(key_of_{identifier(name)}, now, lanes{more}), tl.{dtype})"
    graph = shape.graph
    outputs = [f"{identifier(n)}_new" for n in graph.outputs]
    arguments = ", ".join(_argument(shape, n) for n in graph.inputs)
    yield f"{', '.join(outputs)} = step({arguments})"
    # A state may come out as one number for all neurons, for instance after a reset.
    for name in shape.states:
        yield f"{identifier(name)} = tl.broadcast_to({identifier(NEXT + name[len(STATE) :])}_new, (block,))"
    for port in shape.ports:
        if port in to_state:
            yield f"{identifier(STATE + to_state[port])} += arrived_{identifier(port)}"
    for name in shape.traced:
        value = f"{identifier(name)}_new" if name.startswith(SHOWN) else identifier(name)
        yield f"tl.store(trace_{identifier(name)} + k * width + lanes, {value}, mask=inside)"
    if shape.fires:
        yield "fired = inside & (spike_new > 0.0)"
        yield "listed(fired, lanes, now - first + back, width, neurons, counts)"


def _arrived(shape: Shape, port: str) -> Iterator[str]:
    """Lines that take what arrives at ``port`` in a step."""
    name, dtype = identifier(port), _dtype(shape)
    if port in shape.rings:
        yield f"place = ring_{name} + now % rows_of_{name} * width + lanes"
        yield "total = tl.load(place, mask=inside, other=0)"
        yield "tl.store(place, total * 0, mask=inside)"
        yield f"arrived_{name} = tl.cast(total, tl.{dtype}) * unit_of_{name}"
    else:
        yield f"arrived_{name} = tl.cast(lanes * 0, tl.{dtype})"
    for k, drive in enumerate(shape.drives):
        if drive.port == port:
            if drive.bits:
                count = f"tabulated(key_of_drive_{k}, now, lanes, table_of_drive_{k}, {drive.bits})"
            else:
                at = f"(now - first) * changing_of_drive_{k} + lanes * each_of_drive_{k}"
                yield f"mean = tl.load(table_of_drive_{k} + {at}, mask=inside, other=0.0)"
                count = f"summed(key_of_drive_{k}, now, lanes, mean, pieces_of_drive_{k}, most_of_drive_{k})"
            yield f"arrived_{name} += tl.cast({count}, tl.{dtype}) * weight_{k}"


def _argument(shape: Shape, name: str) -> str:
    port = name.removeprefix(STREAM)
    return f"arrived_{identifier(port)}" if name.startswith(STREAM) and port in shape.ports else identifier(name)


__all__ = ["Drive", "Shape", "advance_source"]

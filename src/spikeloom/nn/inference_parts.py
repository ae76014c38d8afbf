"""The parts of a net compiled for inference: chains of linear layers and neurons, and modules that run as they are."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch

from ..kernels import prepare, random
from ..kernels.backends import choose, note_kernel
from ..kernels.inference.chain import Chain, Initial, Stage
from ..kernels.inference.neuron import neurons
from ..kernels.inference.weights import MOST_INPUTS, Weights, weights
from ..kernels.scan.scan import check_finite, checked_state, initial_state
from .batch_norm import BatchNorm, ThresholdBatchNorm
from .dropout import Dropout
from .layer import Layer, checked_parts, over_time, run_inner
from .linear import hooked
from .neuron import Neuron
from .state import State

_PRECISE = (torch.float32, torch.float64)
Place = tuple[str, ...]
States = Mapping[Place, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Leaf:
    """A layer or module and its place: the names on the way to it."""

    place: Place
    module: torch.nn.Module

    def __str__(self) -> str:
        inner = f"({type(self.module.model).__name__})" if isinstance(self.module, Neuron) else ""
        return f"{'.'.join(self.place)} {type(self.module).__name__}{inner}"

    def __call__(self, x: torch.Tensor, states: States) -> tuple[torch.Tensor, dict[Place, Any]]:
        """As the net does it."""
        if isinstance(self.module, Layer):
            y, state = run_inner(".".join(self.place), self.module, x, states[self.place])
            return y, {self.place: state}
        return over_time(self.module, x), {}


class Part(ABC):
    """A piece of the net: ``y, new states = part(x, states)``, states by place."""

    compiled: bool

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.leaves = list(leaves)

    @abstractmethod
    def __call__(self, x: torch.Tensor, states: States) -> tuple[torch.Tensor, dict[Place, Any]]: ...

    def as_in_the_net(self, x: torch.Tensor, states: States) -> tuple[torch.Tensor, dict[Place, Any]]:
        """One layer after the other."""
        new: dict[Place, Any] = {}
        for leaf in self.leaves:
            x, made = leaf(x, states)
            new |= made
        return x, new

    def __str__(self) -> str:
        how = "compiled" if self.compiled else "as in the net"
        return f"{how}: {', '.join(map(str, self.leaves))}"


class Plain(Part):
    """Layers and modules that run as in the net."""

    compiled = False

    def __call__(self, x: torch.Tensor, states: States) -> tuple[torch.Tensor, dict[Place, Any]]:
        return self.as_in_the_net(x, states)


@dataclasses.dataclass(frozen=True, eq=False)
class Fed:
    """Neurons and what feeds them: a linear map (None: whatever comes) and norms after it."""

    linear: Leaf | None
    norms: tuple[Leaf, ...]
    neuron: Leaf

    @property
    def layer(self) -> Neuron:
        assert isinstance(self.neuron.module, Neuron)
        return self.neuron.module

    def weights(self) -> Weights | None:
        """The layout of the linear map and its norm for the compiled call."""
        if self.linear is None:
            return None
        linear = self.linear.module
        assert isinstance(linear, torch.nn.Linear)
        scale, shift = _affine(self.norms[0].module) if self.norms else (None, None)
        return weights(linear.weight, linear.bias, scale, shift)


class Compiled(Part):
    """Neurons, each fed by those before: one compiled call."""

    compiled = True

    def __init__(self, leaves: Sequence[Leaf], feds: Sequence[Fed]) -> None:
        super().__init__(leaves)
        self.feds = list(feds)
        self._weights = [fed.weights() for fed in feds]
        self._known: dict[tuple[Any, ...], _Built] = {}
        self._inert = [leaf for leaf in leaves if isinstance(leaf.module, Layer) and not _is_neuron(leaf)]
        first = self._weights[0]
        if first is not None:  # sizes are known: compile now
            self._built((first.outputs,), first.table.dtype, strict=False)

    def __call__(self, x: torch.Tensor, states: States) -> tuple[torch.Tensor, dict[Place, Any]]:
        if not self._fits(x):
            return self.as_in_the_net(x, states)
        first, features = self._weights[0], tuple(x.shape[2:])
        if first is not None:
            features = (first.outputs,)
        built = self._built(features, x.dtype, choose("cpu").strict)
        chain = built.chain
        initial = [self._initial(k, built, x, states) for k in range(len(self.feds))]
        drawn = [_drawn(n, x, math.prod(size), built.like) for n, size in zip(built.random, built.sizes, strict=True)]
        found = None if first is None else chain(x, False, initial, drawn)
        if found is None:
            given = x
            for leaf in (self.feds[0].linear, *self.feds[0].norms):
                given = given if leaf is None else leaf(given, states)[0]
            if first is not None:
                note_kernel("inference/dense/Linear/forward")
            found = chain(given.reshape(*x.shape[:2], -1), True, initial, drawn)
            assert found is not None
        new: dict[Place, Any] = {leaf.place: _unchanged(leaf, states[leaf.place]) for leaf in self._inert}
        for k, (fed, final) in enumerate(zip(self.feds, found.states, strict=True)):
            if not found.finite:
                _check_finite(fed, x, final)
            shaped = final if len(built.sizes[k]) == 1 else {
                n: v.reshape(x.shape[1], *built.sizes[k]) for n, v in final.items()
            }  # fmt: skip
            new[fed.neuron.place] = State(shaped)
        return found.y.reshape(*x.shape[:2], *built.sizes[-1]), new

    def _fits(self, x: torch.Tensor) -> bool:
        """Whether the compiled call can take ``x``; the net says what is wrong with anything strange."""
        first = self._weights[0]
        if first is None:
            return x.dtype in (torch.float32, torch.float64)
        return x.dim() == 3 and x.shape[2] == first.inputs and x.dtype == first.table.dtype

    def _built(self, features: tuple[int, ...], dtype: torch.dtype, strict: bool) -> _Built:
        key = features, dtype, strict
        if key not in self._known:
            like = torch.empty(0, dtype=dtype)
            sizes = [features if of is None else (of.outputs,) for of in self._weights]
            triples = list(zip(self.feds, self._weights, sizes, strict=True))
            chain = Chain([_stage(fed, of, size, like, strict) for fed, of, size in triples], like)
            fresh = [_fresh(fed, size, like) for fed, _, size in triples]
            self._known[key] = _Built(chain, like, sizes, fresh, [fed.layer._program().random for fed in self.feds])
        return self._known[key]

    def _initial(self, k: int, built: _Built, x: torch.Tensor, states: States) -> list[Initial]:
        """The states with which neurons ``k`` begin."""
        fed = self.feds[k]
        model, given = fed.layer.model, states[fed.neuron.place]
        if given is None:
            return built.fresh[k]

        def check(_: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
            checked_parts(state, list(model.states), f"Neuron({type(model).__name__})")
            checked_state(model, state, (x.shape[1], *built.sizes[k]), built.like, x.shape[0])
            return x, state

        _named(fed, check, x, given)
        return [(given[name].contiguous(), False) for name in model.states]


@dataclasses.dataclass(frozen=True, eq=False)
class _Built:
    """A chain for features of one shape, and of each of its stages the shape, the initial states and random numbers."""

    chain: Chain
    like: torch.Tensor
    sizes: list[tuple[int, ...]]
    fresh: list[list[Initial]]
    random: list[tuple[str, ...]]


def _fresh(fed: Fed, size: tuple[int, ...], like: torch.Tensor) -> list[Initial]:
    model = fed.layer.model
    values = initial_state(model, size, like, fed.layer.learned())
    return [(values[name].detach().contiguous(), True) for name in model.states]


def _drawn(names: Sequence[str], x: torch.Tensor, width: int, like: torch.Tensor) -> torch.Tensor | None:
    """Random numbers [K, T, B, N], the very ones that the net would draw."""
    if not names:
        return None
    seed, (steps, batch) = int(torch.randint(2**62, ())), x.shape[:2]
    rows = [random.draw(name, seed, 0, steps, batch * width, like) for name in names]
    return torch.stack(rows).reshape(len(rows), steps, batch, width)


def _stage(fed: Fed, of: Weights | None, features: tuple[int, ...], like: torch.Tensor, strict: bool) -> Stage:
    layer, found = fed.layer, fed.layer._program()
    model, label, size = layer.model, type(layer.model).__name__, math.prod(features)
    learned = {name: value.detach() for name, value in layer.learned().items()}
    constants = prepare.constants(found, model, learned, layer.dt, features, like)
    how = {"membrane": model.membrane, "label": label, "strict": strict}
    made = neurons(found, constants, like, size, **how)
    return Stage(of, made, tuple(model.states), found.fires, label)


def _unchanged(leaf: Leaf, state: Any) -> State:
    """The state of a norm or a dropout in evaluation, which has none but may be given one by training."""
    dropout = isinstance(leaf.module, Dropout) and isinstance(state, State) and state
    checked_parts(state, ["mask"] if dropout else [], type(leaf.module).__name__)
    return state if dropout else State()


def _named(fed: Fed, check: Callable[..., Any], x: torch.Tensor, state: Any) -> None:
    """Run a check whose errors say in which layer they are."""
    run_inner(".".join(fed.neuron.place), cast(torch.nn.Module, check), x, state)


def _check_finite(fed: Fed, x: torch.Tensor, final: dict[str, torch.Tensor]) -> None:
    def check(x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        check_finite(fed.layer.model, final)
        return x, state

    _named(fed, check, x, None)


def _affine(norm: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """The scale and shift of each channel that torch uses, by its own rounding."""
    assert isinstance(norm, (BatchNorm, torch.nn.BatchNorm1d))
    weight = norm._scale() if isinstance(norm, BatchNorm) else norm.weight
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None
    assert var is not None
    none, batch_norm = torch.zeros_like(mean), torch.nn.functional.batch_norm
    scale = batch_norm(torch.ones_like(mean)[None], none, var, weight, None, False, 0.0, norm.eps)[0]
    shift = batch_norm(none[None], mean, var, weight, norm.bias, False, 0.0, norm.eps)[0]
    return scale.detach(), shift.detach()


def parts_of(leaves: Sequence[Leaf]) -> list[Part]:
    """The leaves, gathered in parts, in order; chains are as long as they get."""
    parts: list[Part] = []
    plain: list[Leaf] = []
    at = 0
    while at < len(leaves):
        feds, end = _chain_at(leaves, at)
        if feds:
            parts += [Plain(plain)] if plain else []
            parts.append(Compiled(leaves[at:end], feds))
            plain, at = [], end
        else:
            plain.append(leaves[at])
            at += 1
    return [*parts, *([Plain(plain)] if plain else [])]


def _chain_at(leaves: Sequence[Leaf], at: int) -> tuple[list[Fed], int]:
    """The chain that begins at a leaf (none: empty), and where it ends."""
    feds: list[Fed] = []
    while True:
        found = _fed_at(leaves, at, feds)
        if found is None:
            return feds, at
        feds.append(found[0])
        at = found[1]
        if found[0].linear is None or not found[0].layer._program().fires:
            return feds, at


def _fed_at(leaves: Sequence[Leaf], at: int, before: Sequence[Fed]) -> tuple[Fed, int] | None:
    """Neurons and what feeds them, if they begin at a leaf, and where they end."""

    def skip(at: int, flat: bool) -> int:
        while at < len(leaves) and _is_nothing(leaves[at], flat):
            at += 1
        return at

    at = skip(at, flat=bool(before))
    linear, norms = None, []
    if at < len(leaves) and _is_linear(leaves[at], before):
        linear, at = leaves[at], skip(at + 1, flat=True)
        if at < len(leaves) and _is_norm(leaves[at], linear):
            norms, at = [leaves[at]], skip(at + 1, flat=True)
    if at == len(leaves) or not _is_neuron(leaves[at]) or (before and linear is None):
        return None
    return Fed(linear, tuple(norms), leaves[at]), at + 1


def _is_nothing(leaf: Leaf, flat: bool) -> bool:
    """Whether evaluation passes everything on as it is; ``flat`` samples have a single axis."""
    module = leaf.module
    if hooked(module):
        return False
    flattens = type(module) is torch.nn.Flatten and (module.start_dim, module.end_dim) == (1, -1)
    return type(module) in (Dropout, torch.nn.Identity) or (flat and flattens)


def _is_linear(leaf: Leaf, before: Sequence[Fed]) -> bool:
    """Whether the leaf is a plain linear map of the precision of those ``before``."""
    module = leaf.module
    if type(module) is not torch.nn.Linear or hooked(module) or not 0 < module.in_features <= MOST_INPUTS:
        return False
    first = before[0].linear.module if before and before[0].linear else module
    return module.out_features > 0 and module.weight.dtype == first.weight.dtype and module.weight.dtype in _PRECISE


def _is_norm(leaf: Leaf, linear: Leaf) -> bool:
    """Whether the leaf scales and shifts each output of a linear map by fixed numbers."""
    norm = leaf.module
    if type(norm) not in (BatchNorm, ThresholdBatchNorm, torch.nn.BatchNorm1d) or hooked(norm):
        return False
    mean, weight = norm.running_mean, linear.module.weight
    if not (isinstance(mean, torch.Tensor) and isinstance(weight, torch.Tensor)):
        return False
    return len(mean) == len(weight) and mean.dtype == weight.dtype


def _is_neuron(leaf: Leaf) -> bool:
    return type(leaf.module) is Neuron and not hooked(leaf.module)

"""Backpropagation through long sequences: in memory that does not grow with them, or cut into pieces."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..coding._check import whole
from ..errors import ModelError
from ..nn.layer import checked_sequence
from ..nn.recording import LayerRecord, active_recorders, twins
from .exchange import exchanged

Records = list[dict[str, tuple[torch.Tensor | None, dict[str, torch.Tensor]]]]  # of each recorder, by layer


def checkpointed(net: torch.nn.Module, x: torch.Tensor, state: Any = None, *, steps: int) -> tuple[torch.Tensor, Any]:
    """``net(x, state)`` in pieces of ``steps`` steps: only states at their borders are kept for backward.

    ``x`` is ``[T, B, ...]``; output, final state, gradients and what ``sl.record`` hears are those of the plain call.
    Backward runs each piece once more, so the whole takes one forward pass more, and memory for ``T / steps`` states
    and the inside of one piece. Memory is least near ``steps = sqrt(T)``; longer pieces, such as ``T / 20``, are
    faster. What is recorded is kept for all steps, as always.

    Dropout keeps its mask over all pieces. A stochastic neuron draws other numbers than in the plain call (each call
    of a layer starts a stream of its own), the same ones in forward and backward. A product of matrices with fewer
    rows may round differently, so that only nets whose products do not are equal to the bit. Do not change the net
    between forward and backward; there is no second derivative.

    Batch norm would average over a piece, and update its running averages twice: in training it is refused with a
    :class:`ModelError`. Raises :class:`ShapeError` for another layout, :class:`ParameterError` unless ``steps`` is a
    whole number >= 1.

    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174, over time.

    >>> import spikeloom as sl
    >>> net = sl.nn.Sequential(torch.nn.Linear(4, 8), sl.nn.Neuron(sl.LIF()))
    >>> x = torch.rand(100, 2, 4)
    >>> y, state = checkpointed(net, x, steps=10)
    >>> torch.equal(y, net(x)[0])
    True
    """
    checked_sequence(x, "checkpointed")
    _refuse_batch_norm(net)
    outputs: list[torch.Tensor] = []
    heard: list[Records] = []
    for part in x.split(whole(steps, "steps")):
        piece = _Piece(net, part, state)
        found: Any = _Recomputed.apply(piece, *piece.inputs, *piece.parameters)
        y, state, records = piece.named(found)
        outputs.append(y)
        heard.append(records)
    for recorder, parts in zip(active_recorders(), zip(*heard, strict=True), strict=True):
        for name in parts[0]:
            recorder.keep(name, [LayerRecord(*part[name]) for part in parts])
    return torch.cat(outputs), state


def truncated(
    net: torch.nn.Module, x: torch.Tensor, state: Any = None, *, steps: int
) -> Iterator[tuple[torch.Tensor, Any]]:
    """``net(x, state)`` in pieces of ``steps`` steps, through whose borders no gradient goes (truncated BPTT).

    Yields ``(y, state)`` of one piece after the other; the last one may be shorter. The state is carried on, cut off
    from the graph. Call ``backward`` on each piece's loss before asking for the next: memory is then that of one
    piece, whatever T is, and the optimiser may step in between. Raises as :func:`checkpointed` does.

    Source: Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", its BPTT(h; h).

    >>> import spikeloom as sl
    >>> net = sl.nn.Sequential(torch.nn.Linear(4, 8), sl.nn.Neuron(sl.LIF()))
    >>> [len(y) for y, state in truncated(net, torch.rand(25, 2, 4), steps=10)]
    [10, 10, 5]
    """
    checked_sequence(x, "truncated")
    pieces = x.split(whole(steps, "steps"))

    def run(state: Any) -> Iterator[tuple[torch.Tensor, Any]]:
        for piece in pieces:
            y, state = net(piece, state)
            yield y, state
            state = pytree.tree_map_only(torch.Tensor, torch.Tensor.detach, state)

    return run(state)


class _Piece:
    """A call of ``net`` that can be made again: with the same parameters, random numbers, backend and precision."""

    def __init__(self, net: torch.nn.Module, x: torch.Tensor, state: Any) -> None:
        self.inputs, self._arguments = _taken_apart((x, state))
        self._net = net
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self._cuda = [x.device.index] if x.is_cuda else []
        self._random = torch.get_rng_state(), [torch.cuda.get_rng_state(index) for index in self._cuda]
        kind = x.device.type
        enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        self._precision: dict[str, Any] = {"device_type": kind, "enabled": enabled, "dtype": dtype}
        self._context = contextvars.copy_context()  # backward may run outside of blocks that are open now

    def first(self) -> tuple[torch.Tensor, ...]:
        """The tensors among the results; ``named`` then tells output, state and what each recorder heard."""
        found, self.named = _taken_apart(self._results(self.inputs))
        self.inputs = []  # from now on, those that autograd keeps
        return tuple(found)

    def again(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The results of :meth:`first`, now with a graph that ends at ``tensors``: inputs, then parameters."""
        split = len(tensors) - len(self.parameters)
        given = {id(p): t for p, t in zip(self.parameters, tensors[split:], strict=True)}
        with exchanged(self._net, given), torch.random.fork_rng(self._cuda), torch.autocast(**self._precision):
            torch.set_rng_state(self._random[0])
            for index, before in zip(self._cuda, self._random[1], strict=True):
                torch.cuda.set_rng_state(before, index)
            results = self._context.run(self._results, tensors[:split])
        return _taken_apart(results)[0]

    def _results(self, tensors: Sequence[torch.Tensor]) -> tuple[Any, Any, Records]:
        with twins() as recorders:
            y, state = self._net(*self._arguments(tensors))
        return y, state, [{n: (r[n].spikes, dict(r[n].states)) for n in r.names()} for r in recorders]


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, piece: _Piece, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.piece = piece
        ctx.save_for_backward(*tensors)  # which also notices parameters that change before backward
        ctx.set_materialize_grads(False)
        return piece.first()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        needed = ctx.needs_input_grad[1:]
        tensors = [t.detach().requires_grad_(need) for t, need in zip(ctx.saved_tensors, needed, strict=True)]
        with torch.enable_grad():
            results = ctx.piece.again(tensors)
        pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None and r.requires_grad]
        wanted = [t for t in tensors if t.requires_grad]
        found = iter(_gradients(pairs, wanted))
        return None, *(next(found) if t.requires_grad else None for t in tensors)


def _gradients(
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], wanted: Sequence[torch.Tensor]
) -> Sequence[torch.Tensor | None]:
    if not pairs:
        return [None] * len(wanted)
    heads, grads = zip(*pairs, strict=True)
    return torch.autograd.grad(heads, wanted, grads, allow_unused=True)


def _taken_apart(tree: Any) -> tuple[list[torch.Tensor], Callable[[Sequence[torch.Tensor]], Any]]:
    """The tensors within ``tree``, each once, and what builds the same tree around others."""
    leaves, spec = pytree.tree_flatten(tree)
    found = {id(leaf): leaf for leaf in leaves if isinstance(leaf, torch.Tensor)}
    order = {key: index for index, key in enumerate(found)}
    places = [(order.get(id(leaf)), None if id(leaf) in order else leaf) for leaf in leaves]

    def rebuilt(tensors: Sequence[torch.Tensor]) -> Any:
        return pytree.tree_unflatten([rest if at is None else tensors[at] for at, rest in places], spec)

    return list(found.values()), rebuilt


def _refuse_batch_norm(net: torch.nn.Module) -> None:
    for name, module in net.named_modules():
        averages, mend = getattr(module, "running_mean", None), "Run the whole sequence at once"
        if averages is None and isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            mend += "."
        elif averages is not None and module.training:
            mend += f", or use the running averages: {f'net.{name}' if name else 'net'}.eval()."
        else:
            continue
        what = f"checkpointed: {name or 'the net'} would average over a piece, and in forward and backward"
        raise ModelError(what, got=type(module).__name__, mend=mend)

"""``recurrence``: run a neuron model whose spikes come back one step later, all steps in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.autograd import forward_ad

from ...models.base import NeuronModel
from ...solvers import Solver
from ...surrogates import ATan, Surrogate
from .. import prepare
from ..backends import choose
from ..program import SHOWN, SPIKE, Program, program
from ..scan.scan import ScanResult, check_finite, checked_state, initial_state
from .engines import ENGINES
from .op import Call, differentiable, forward

Tensors = Mapping[str, torch.Tensor]


def fits(found: Program, x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether a kernel takes this: spikes without random numbers, ``x`` ``[T, B, N]`` and ``weight`` ``[N, N]`` plain
    tensors of one precision on one device, no more neurons than the backend in force for it has kernels for, and not
    its strict arithmetic, which goes by order.
    """
    choice = choose(x.device.type)
    if choice.name not in ENGINES or choice.strict or found.random or not found.fires:
        return False
    if not 0 < len(weight) <= ENGINES[choice.name].most or x.device != weight.device or x.numel() == 0:
        return False
    if choice.name == "cpu" and x.device.type != "cpu":
        return False
    return x.dtype == weight.dtype in (torch.float32, torch.float64) and _plain(x) and _plain(weight)


def _plain(x: torch.Tensor) -> bool:
    """Not of a class of its own, nor with a tangent, nor within a torch.func transform."""
    if type(x) not in (torch.Tensor, torch.nn.Parameter):
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(x)  # type: ignore[reportPrivateUsage]
    return not wrapped and forward_ad.unpack_dual(x).tangent is None


def recurrence(
    model: NeuronModel, streams: Tensors, state: Tensors | None = None, *, weight: torch.Tensor, spikes: torch.Tensor,
    learned: Tensors | None = None, solver: Solver | None = None, surrogate: Surrogate | None = None, dt: float = 1.0,
    record: Sequence[str] = (),
) -> ScanResult:  # fmt: skip
    """As :func:`spikeloom.scan`, with ``x_t + W s_{t-1}`` in place of the one stream ``x`` ``[T, B, N]``.

    ``weight`` is ``[N, N]``; ``spikes`` ``[B, N]`` are those before the first step, or any numbers. Undefined for what
    :func:`fits` refuses.

    >>> from spikeloom.models import IF
    >>> x, weight = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    >>> recurrence(IF(), {"v": x}, weight=weight, spikes=torch.zeros(1, 2)).spikes.tolist()
    [[[1.0, 0.0]], [[0.0, 1.0]]]
    """
    ((into, x),) = streams.items()
    found = program(model, solver, surrogate or ATan(), (into,))
    like = torch.empty(0, dtype=x.dtype, device=x.device)
    if state is None:
        state = initial_state(model, x.shape[1:], like, learned)
    else:
        checked_state(model, state, x.shape[1:], like, x.shape[0])
    constants = prepare.constants(found, model, learned or {}, dt, tuple(x.shape[2:]), like)
    states = [state[name].flatten() for name in model.states]
    engine = ENGINES[str(choose(x.device.type).name)]
    before = engine.before(spikes, weight)
    given = (x, before.bring, before.added, weight, *states, *constants)
    training = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
    wanted = (True, *(c.requires_grad for c in constants)) if training else ()
    call = Call(found.text, ",".join(record), wanted, type(model).__name__, engine)
    outputs = differentiable(call, before, *given) if training else forward(call, x, weight, before, states, constants)
    names = [SPIKE, *(SHOWN + name for name in record)]
    rows = {name: row.view(x.shape) for name, row in zip(names, outputs, strict=False)}
    finals = zip(model.states, outputs[len(names) :], strict=False)
    result = ScanResult(
        spikes=rows.pop(SPIKE),
        states={name[len(SHOWN) :]: row for name, row in rows.items()},
        final={name: value.view(x.shape[1:]) for name, value in finals},
    )
    check_finite(model, result.final)
    return result

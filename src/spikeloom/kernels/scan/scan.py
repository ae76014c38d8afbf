"""``scan``: run a neuron model over a sequence, on the backend that fits the data."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import torch
from torch.autograd import forward_ad

from ...errors import BackendError, ModelError, NonFiniteError, ParameterError, ShapeError, StateError, did_you_mean
from ...models.base import NeuronModel
from ...solvers import Solver
from ...surrogates import ATan, Surrogate
from ...units import Quantity, ms, plain
from .. import prepare, random
from ..backends import choose, note_kernel
from ..program import CONSTANT, SHOWN, SPIKE, STREAM, Program, program
from . import reference
from .needed import with_needed
from .op import scan_op

Tensors = Mapping[str, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class ScanResult:
    """``spikes`` ``[T, B, ...]`` (None for a model that never fires), recorded ``states``, and the ``final`` ones.

    ``needed`` ``[T, M]`` (None unless asked for and known): bytes, 0 where the gradient of the spike has no effect.
    """

    spikes: torch.Tensor | None
    states: dict[str, torch.Tensor]
    final: dict[str, torch.Tensor]
    needed: torch.Tensor | None = None


def scan(
    model: NeuronModel, streams: Tensors, state: Tensors | None = None, *, learned: Tensors | None = None,
    solver: Solver | None = None, surrogate: Surrogate | None = None, dt: float | Quantity = 1.0,
    record: Sequence[str] = (), seed: int | None = None, first_step: int = 0, mark_needed: bool = False,
) -> ScanResult:  # fmt: skip
    """Advance ``model`` over ``streams`` ``[T, B, ...]``, named like an input (held) or a state or port (arrives).

    ``state`` gives the initial states ``[B, ...]`` (default: the model's). ``learned`` replaces parameters by
    tensors that get gradients. ``record`` names states to return for every step. ``dt`` is in ms. Neuron states
    are float32 for float32, bfloat16 and float16 streams, float64 for float64.

    A stochastic model's random numbers depend on ``seed`` (default: drawn from torch's generator), the number of the
    step counted from ``first_step``, and the neuron's place in ``[B, ...]``, and on nothing else.

    ``mark_needed`` asks for the result's ``needed``, which the CPU's kernels give for a surrogate of finite
    :attr:`~spikeloom.surrogates.Surrogate.support` where gradients are wanted.

    Raises ShapeError, StateError, ParameterError or NonFiniteError where the data do not fit.

    >>> import spikeloom as sl
    >>> result = scan(sl.LIF(tau=10.0), {"v": torch.full((5, 1, 1), 0.5)}, record=("v",))
    >>> result.spikes.flatten().tolist()
    [0.0, 0.0, 1.0, 0.0, 1.0]
    """
    dt, record = checked_dt(dt), tuple(dict.fromkeys(record))
    chosen = surrogate or ATan()
    found = program(model, solver, chosen, tuple(streams))
    like, features = _checked_streams(streams)
    shape = next(iter(streams.values())).shape
    if found.random:
        streams = {**streams, **_random_streams(found.random, seed, first_step, shape, like)}
    if state is None:
        state = initial_state(model, shape[1:], like, learned)
    else:
        checked_state(model, state, shape[1:], like, shape[0])
    for name in record:
        if name not in model.states:
            raise ModelError(f"{type(model).__name__} has no state {name!r}", mend=did_you_mean(name, model.states))
    constants = prepare.constants(found, model, learned or {}, dt, features, like)
    choice = choose(like.device.type)
    label = type(model).__name__
    ordered = {name: state[name] for name in model.states}
    if choice.name == "reference":
        result = _on_reference(found, streams, ordered, constants, record)
        note_kernel(f"scan/reference/{label}/forward")
    else:
        marked = mark_needed and choice.name == "cpu" and chosen.support < math.inf
        how = label, str(choice.name), choice.strict, marked
        result = _on_kernels(found, streams, ordered, constants, record, how)
    check_finite(model, result.final)
    return result


def _random_streams(
    names: Sequence[str], seed: int | None, first: int, shape: torch.Size, like: torch.Tensor
) -> dict[str, torch.Tensor]:
    if seed is None:
        seed = int(torch.randint(2**62, ()))
    width = math.prod(shape[1:])
    return {
        name: random.draw(name, random.checked_seed(seed), first, shape[0], width, like).reshape(shape)
        for name in names
    }


def checked_dt(dt: object) -> float:
    """A time step as a plain number in ms; raises ParameterError unless it is finite and > 0."""
    value = plain(dt, ms, "dt")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ParameterError("dt", got=repr(value), expected="a finite time > 0 in ms")
    return float(value)


def _checked_streams(streams: Tensors) -> tuple[torch.Tensor, tuple[int, ...]]:
    if not streams:
        raise ParameterError("a scan needs at least one stream", mend="Name a state or an input of the model.")
    for name, x in streams.items():
        if not isinstance(x, torch.Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            mend = "Convert an array with torch.as_tensor."
            raise ShapeError(f"stream {name}", got=f"a {type(x).__name__}", expected="a tensor [T, B, ...]", mend=mend)
    shapes = {name: tuple(x.shape) for name, x in streams.items()}
    first = next(iter(streams.values()))
    for name, x in streams.items():
        if not x.dtype.is_floating_point:
            mend = "Convert spikes with .float()."
            raise ShapeError(f"stream {name} is not floating point", got=x.dtype, expected="a float tensor", mend=mend)
        if x.dim() < 2:
            mend = "Sequences are [T, B, ...]: add a batch axis with x.unsqueeze(1)."
            raise ShapeError(f"stream {name}", got=f"shape {shapes[name]}", expected="[T, B, ...]", mend=mend)
        if shapes[name] != tuple(first.shape) or x.device != first.device:
            raise ShapeError("streams differ", got=f"{shapes} on {x.device}", expected="one shape and device for all")
    dtype = torch.float64 if any(x.dtype == torch.float64 for x in streams.values()) else torch.float32
    return torch.empty(0, dtype=dtype, device=first.device), tuple(first.shape[2:])


def initial_state(
    model: NeuronModel, shape: Sequence[int], like: torch.Tensor, learned: Tensors | None = None
) -> dict[str, torch.Tensor]:
    """The model's initial states as tensors of ``shape`` ``[B, ...]``; they depend on ``learned`` parameters too."""
    if learned:
        tensors = _initial_values(model, learned, like.dtype, like.device)
    else:
        tensors = _fixed_initial_values(model, like.dtype, like.device)
    return {name: value.expand(tuple(shape)) for name, value in tensors.items()}


def _initial_values(
    model: NeuronModel, learned: Tensors, dtype: torch.dtype, device: torch.device
) -> dict[str, torch.Tensor]:
    values = {n: prepare.to_tensor(v, dtype, device) for n, v in model.values.items()}
    values |= {n: v.to(dtype) for n, v in learned.items()}
    found = model.bind(values).initial_values()
    return {n: torch.as_tensor(v, dtype=dtype, device=device) for n, v in found.items()}


@functools.lru_cache(maxsize=256)
def _fixed_initial_values(model: NeuronModel, dtype: torch.dtype, device: torch.device) -> dict[str, torch.Tensor]:
    # Made in inference mode, the cached tensors could never again take part in training.
    with torch.inference_mode(False), torch.no_grad():
        return _initial_values(model, {}, dtype, device)


def checked_state(model: NeuronModel, state: Tensors, shape: Sequence[int], like: torch.Tensor, steps: int) -> None:
    """Raise StateError unless ``state`` has the model's states in this shape, dtype and device."""
    if set(state) != set(model.states):
        mend = "Pass on the state that this layer returned, or None to start afresh."
        raise StateError(
            f"{type(model).__name__}: other states",
            got=sorted(state),
            expected=sorted(model.states),
            mend=mend,
        )
    for name, value in state.items():
        if tuple(value.shape) != tuple(shape):
            mend = "Start a new batch with state=None, or keep the batch size."
            if value.shape[:1] == (steps,) and steps != shape[0]:
                mend = "The state's batch size is the input's first axis: are T and B swapped? Inputs are [T, B, ...]."
            raise StateError(f"state {name}", got=f"shape {tuple(value.shape)}", expected=f"{tuple(shape)}", mend=mend)
        if value.dtype != like.dtype or value.device != like.device:
            got, expected = f"{value.dtype} on {value.device}", f"{like.dtype} on {like.device}"
            mend = f'Move it first: state.to("{like.device}", {like.dtype}).'
            raise StateError(f"state {name}", got=got, expected=expected, mend=mend)


def _on_reference(
    found: Program,
    streams: Tensors,
    initial: Tensors,
    constants: Sequence[torch.Tensor],
    record: Sequence[str],
) -> ScanResult:
    rows, final = reference.run(
        found.step,
        {STREAM + n: _flat(x, 2, initial) for n, x in streams.items()},
        {n: _flat(s, 1, initial) for n, s in initial.items()},
        {f"{CONSTANT}{k}": c for k, c in enumerate(constants)},
        record,
    )
    return _unflattened(rows, final, next(iter(streams.values())))


def _on_kernels(
    found: Program, streams: Tensors, initial: Tensors, constants: Sequence[torch.Tensor], record: Sequence[str],
    how: tuple[str, str, bool, bool],
) -> ScanResult:  # fmt: skip
    label, backend, strict, marked = how
    dtype = next(iter(initial.values())).dtype
    # The GPU's kernels read half precision as they read float32: a conversion there moves more bytes than they do.
    narrow = {torch.bfloat16, torch.float16} if backend == "gpu" and dtype == torch.float32 else set[torch.dtype]()
    rows_of = [(x if x.dtype in narrow else x.to(dtype)).flatten(1) for x in streams.values()]
    lanes_of = [s.flatten() for s in initial.values()]
    if any(forward_ad.unpack_dual(t).tangent is not None for t in (*rows_of, *lanes_of, *constants)):
        # Torch passes over a tangent that an operator does not know, which would give zeros.
        mend = 'Run the model within sl.backend("reference").'
        raise BackendError("the fused scan has no forward-mode derivatives", got="a dual tensor", mend=mend)
    wanted: list[bool] = []
    if torch.is_grad_enabled() and any(t.requires_grad for t in (*rows_of, *lanes_of, *constants)):
        wanted = [t.requires_grad for t in (*rows_of, *constants)]
    text = with_needed(found.text) if marked and wanted else None
    text, marked = (found.text, False) if text is None else (text, True)
    outputs = scan_op(rows_of, lanes_of, list(constants), text, ",".join(record), wanted, label, backend, strict)
    names = [*([SPIKE] if found.fires else []), *(SHOWN + r for r in record)]
    finals = dict(zip(initial, outputs[len(names) :], strict=False))
    result = _unflattened(dict(zip(names, outputs, strict=False)), finals, next(iter(streams.values())))
    return dataclasses.replace(result, needed=outputs[-1]) if marked else result


def _flat(x: torch.Tensor, lead: int, initial: Tensors) -> torch.Tensor:
    """``[T, B, N]`` or ``[B, N]`` in the states' dtype, so that per-neuron constants ``[N]`` broadcast."""
    dtype = next(iter(initial.values())).dtype
    return x.to(dtype).flatten(lead) if x.dim() > lead else x.to(dtype).unsqueeze(-1)


def _unflattened(rows: Tensors, final: Tensors, x: torch.Tensor) -> ScanResult:
    spikes = rows.get(SPIKE)
    return ScanResult(
        spikes=None if spikes is None else spikes.reshape(x.shape).to(x.dtype),
        states={n[len(SHOWN) :]: r.reshape(x.shape) for n, r in rows.items() if n != SPIKE},
        final={n: f.reshape(x.shape[1:]) for n, f in final.items()},
    )


def check_finite(model: NeuronModel, final: Tensors) -> None:
    """A NaN that entered a run is still in the states at its end, where looking costs little (an infinite input too,
    unless a reset to a value wiped it out).

    On a GPU the look would wait for the kernels, so it is left to the loss there.
    """
    if torch.compiler.is_compiling():
        return
    for name, value in final.items():
        if value.device.type != "cpu" or math.isfinite(float(value.detach().sum())):  # the quick look
            continue
        if not bool(torch.isfinite(value).all()):
            count = int((~torch.isfinite(value)).sum())
            mend = "Look for NaN in the input and the weights, or for a step too large for the solver."
            raise NonFiniteError(
                f"{type(model).__name__}: state {name} is not finite", got=f"{count} values", mend=mend
            )

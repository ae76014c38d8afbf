"""Changes of a signal as events."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ParameterError, ShapeError
from ._check import at_least_float32, float_tensor, real


def delta(signal: Tensor, threshold: float, start: Tensor | float | None = None, *, multiple: bool = False) -> Tensor:
    """Delta modulation (send on delta): ``[T, B, ...]`` to ON and OFF events ``[T, B, 2, ...]``.

    A reference starts at ``start`` and follows the signal. At each step, with ``error = signal - reference``,
    an ON event (channel 0) is sent when ``error >= threshold``, an OFF event (channel 1) when
    ``error <= -threshold``, and the reference moves by ``threshold`` that way. It is kept as
    ``start + threshold * (ON - OFF events so far)``, which is what ``sl.decode.delta`` computes, so that
    sender and receiver never drift apart.

    As long as the signal moves by at most ``threshold`` per step, it stays within ``threshold`` of the
    reference. A faster signal is followed with a lag (slope overload); ``multiple=True`` instead sends as
    many events as needed in the same step, and then the bound always holds, but values are counts, not
    spikes.

    Source: Miskowicz 2006, "Send-on-delta concept: an event-based data reporting strategy"; Lichtsteiner,
    Posch and Delbruck 2008 (the same in an event camera's pixel, on the logarithm of light).

    :param signal: ``[T, B, ...]``, any finite floating values.
    :param threshold: the change that makes an event, in units of the signal.
    :param start: reference before the first step, a number or ``[B, ...]``; by default the signal at step
        0, which a receiver then has to be told.
    :raises ParameterError: a signal that is not a floating tensor, or a ``threshold`` that is not positive or
        so small that the dtype cannot count the events.
    :raises NonFiniteError: NaN or infinity.
    :raises ShapeError: fewer than two axes, no steps, or a ``start`` that does not fit.

    >>> events = delta(torch.tensor([[0.0], [0.6], [1.2], [0.5]]), threshold=0.5)
    >>> events[:, 0].T
    tensor([[0., 1., 1., 0.],
            [0., 0., 0., 1.]])
    """
    checked = float_tensor(signal, "signal", "T, B")
    if checked.shape[0] == 0:
        raise ShapeError("signal has no steps", got=list(checked.shape), expected="[T, B, ...] with T >= 1")
    threshold = real(threshold, "threshold")
    work = at_least_float32(checked)
    origin = reference_start(work[0] if start is None else start, work)
    _check_resolution(work, origin, threshold, checked.dtype if multiple else work.dtype)
    net = torch.zeros_like(work[0])
    shape = (*checked.shape[:2], 2, *checked.shape[2:])
    events = torch.empty(shape, dtype=checked.dtype, device=checked.device)
    for t, sample in enumerate(work.unbind(0)):
        # Adding 0 turns -0 into 0.
        change = ((sample - (origin + threshold * net)) / threshold).trunc_() + 0.0
        if not multiple:
            change.clamp_(-1.0, 1.0)
        events[t, :, 0] = change.clamp(min=0.0)
        events[t, :, 1] = (0.0 - change).clamp(min=0.0)
        net += change
    return events


def reference_start(start: Tensor | float, like: Tensor) -> Tensor:
    """``start`` as a tensor of one step ``[B, ...]`` of the sequence ``like [T, B, ...]``."""
    try:
        return torch.as_tensor(start, dtype=like.dtype, device=like.device).detach().expand(like.shape[1:])
    except RuntimeError:
        got = list(getattr(start, "shape", ()))
        mend = "It is the reference before the first step."
        raise ShapeError("start does not fit", got=got, expected=list(like.shape[1:]), mend=mend) from None


def _check_resolution(signal: Tensor, origin: Tensor, threshold: float, dtype: torch.dtype) -> None:
    """Raise :class:`ParameterError` where counts of events could exceed the whole numbers of ``dtype``."""
    if signal.numel() == 0:
        return
    reach = float(torch.maximum(signal.amax(0) - origin, origin - signal.amin(0)).max())
    # From end to end is twice the reach; 2 / eps is the last whole number without gaps.
    least = reach * torch.finfo(dtype).eps
    if threshold < least:
        expected, mend = f">= {least:g} for {dtype}", "Use a larger threshold or a wider dtype."
        raise ParameterError("threshold is too small", got=threshold, expected=expected, mend=mend)

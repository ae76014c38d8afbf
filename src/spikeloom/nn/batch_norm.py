"""Batch normalisation of sequences ``[T, B, C, ...]``: over what it averages, and what differs from step to step.

===============================  ==============================================  =============================
layer                            one mean and variance of each channel over      learned for each channel
===============================  ==============================================  =============================
:class:`BatchNorm`               time, batch and places together                 scale, shift
:class:`ThresholdBatchNorm`      the same                                        the same, times ``alpha V_th``
:class:`TemporalBatchNorm`       the same                                        and a factor of each step
:class:`BatchNormThroughTime`    batch and places, each step by itself           a scale of each step, no shift
===============================  ==============================================  =============================

In training the averages are those of the call, and running averages are kept for evaluation: nothing else stays
between calls. A call is what is averaged over, so in training a sequence given at once and the same one given in parts
differ; in evaluation they agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..errors import ParameterError, ShapeError, StateError
from .layer import Layer, checked_parts, checked_sequence
from .state import State


class _Normalised(Layer):
    """Averages of ``C`` channels, or of ``C`` channels in each of ``steps`` steps, and their running values."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, features: int, eps: float, momentum: float, steps: int | None = None) -> None:
        super().__init__()
        self.features = _checked_count(self._label, "features", features)
        if not (eps > 0 and math.isfinite(eps)):
            raise ParameterError(f"{self._label}: eps", got=eps, expected="a positive number")
        if not 0 < momentum <= 1:
            raise ParameterError(f"{self._label}: momentum", got=momentum, expected="above 0 and at most 1")
        self.eps, self.momentum = eps, momentum
        shape = (features,) if steps is None else (steps, features)
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    @property
    def _label(self) -> str:
        return type(self).__name__

    def _checked(self, x: torch.Tensor) -> None:
        checked_sequence(x, self._label)
        if x.dim() < 3 or x.shape[2] != self.features:
            expected = f"[T, B, {self.features}, ...]"
            raise ShapeError(f"{self._label}: the input", got=f"shape {tuple(x.shape)}", expected=expected)

    def _joint(self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        """``x`` [T, B, C, ...] normalised over all but its channels; no step at all gives none."""
        if not x.shape[0]:
            return x
        y = self._normalised(x.flatten(0, 1), self.running_mean, self.running_var, weight, bias)
        return y.unflatten(0, x.shape[:2])

    def _normalised(
        self, x: torch.Tensor, mean: torch.Tensor, var: torch.Tensor,
        weight: torch.Tensor | None, bias: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        """``x`` [N, C, ...]; in training ``mean`` and ``var`` move towards those of ``x``, in place."""
        if self.training and x.numel() <= x.shape[1]:
            mend = "Train with larger batches, or call .eval() first."
            what = f"{self._label}: one value has no variance"
            raise ShapeError(what, got="one value per channel", expected="at least 2 in training", mend=mend)
        args = (mean, var, weight, bias, self.training, self.momentum, self.eps)
        return torch.nn.functional.batch_norm(x, *args)

    def extra_repr(self) -> str:
        return f"{self.features}, eps={self.eps:g}, momentum={self.momentum:g}"


class BatchNorm(_Normalised):
    """``y = gamma (x - mean) / sqrt(var + eps) + beta``, averaged over time, batch and places together.

    What a ``torch.nn.BatchNorm`` in :class:`Sequential` does, for any number of feature axes. Ioffe & Szegedy 2015.

    Raises :class:`ShapeError` unless ``x`` is ``[T, B, features, ...]`` with, in training, two values or more per
    channel.

    >>> layer = BatchNorm(2)
    >>> y, _ = layer(torch.tensor([[[0.0, 7.0]], [[2.0, 3.0]]]))
    >>> y.round(decimals=3).tolist()
    [[[-1.0, 1.0]], [[1.0, -1.0]]]
    """

    def __init__(self, features: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(features, eps, momentum)
        self.weight = torch.nn.Parameter(torch.ones(features))
        self.bias = torch.nn.Parameter(torch.zeros(features))

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        self._checked(x)
        checked_parts(state, [], self._label)
        return self._joint(x, self._scale(), self.bias), State()

    def _scale(self) -> torch.Tensor:
        return self.weight


class ThresholdBatchNorm(BatchNorm):
    """tdBN: ``y = gamma alpha V_th (x - mean) / sqrt(var + eps) + beta``: inputs spread as far as the threshold.

    Zheng, Wu, Deng, Hu & Li 2021 (arXiv:2011.05280, section "Threshold-dependent Batch Normalization"), with
    ``gamma`` = 1 and ``beta`` = 0 at first, and averages over time, batch and places together. ``v_threshold`` is the
    distance from rest to threshold; ``alpha`` is 1, or ``1/sqrt(n)`` where ``n`` such outputs are added.

    >>> layer = ThresholdBatchNorm(1, v_threshold=0.5)
    >>> layer(torch.tensor([[[0.0]], [[2.0]]]))[0].round(decimals=3).flatten().tolist()
    [-0.5, 0.5]
    """

    def __init__(
        self, features: int, *, v_threshold: float = 1.0, alpha: float = 1.0, eps: float = 1e-5, momentum: float = 0.1
    ) -> None:
        super().__init__(features, eps=eps, momentum=momentum)
        for name, value in (("v_threshold", v_threshold), ("alpha", alpha)):
            if not (value > 0 and math.isfinite(value)):
                raise ParameterError(f"{self._label}: {name}", got=value, expected="a positive number")
        self.v_threshold, self.alpha = float(v_threshold), float(alpha)

    def _scale(self) -> torch.Tensor:
        return self.weight * (self.alpha * self.v_threshold)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, v_threshold={self.v_threshold:g}, alpha={self.alpha:g}"


class _Stepwise(_Normalised):
    """A normalisation that tells steps apart: the state counts the steps that are done."""

    def __init__(self, features: int, steps: int, eps: float, momentum: float, *, apart: bool) -> None:
        _checked_count(self._label, "steps", steps)
        super().__init__(features, eps, momentum, steps if apart else None)
        self.steps = steps

    def _span(self, x: torch.Tensor, state: State | None) -> tuple[int, int]:
        """First and last + 1 of the steps of this call."""
        self._checked(x)
        checked_parts(state, ["step"], self._label)
        done = 0 if state is None else _checked_step(state, self._label)
        end = done + x.shape[0]
        if end > self.steps:
            mend = "Make the layer with as many steps as the longest sequence, or start a new one with state=None."
            got = f"step {end}" if done else f"T = {end}"
            raise ShapeError(f"{self._label}: more steps than it has", got=got, expected=self.steps, mend=mend)
        return done, end

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, steps={self.steps}"


class TemporalBatchNorm(_Stepwise):
    """TEBN: ``y_t = p_t (gamma (x_t - mean) / sqrt(var + eps) + beta)``, with a learned factor ``p_t`` of each step.

    Duan, Ding, Chen, Yu & Huang 2022 ("Temporal Effective Batch Normalization in Spiking Neural Networks",
    NeurIPS 35): averages over time, batch and places together, ``p`` = 1 at first.

    A sequence may be shorter than ``steps``, not longer: :class:`ShapeError`.

    >>> layer = TemporalBatchNorm(3, steps=4)
    >>> y, state = layer(torch.rand(2, 5, 3))
    >>> y, state = layer(torch.rand(2, 5, 3), state)
    >>> int(state["step"])
    4
    """

    def __init__(self, features: int, steps: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(features, steps, eps, momentum, apart=False)
        self.weight = torch.nn.Parameter(torch.ones(features))
        self.bias = torch.nn.Parameter(torch.zeros(features))
        self.factor = torch.nn.Parameter(torch.ones(steps))

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        done, end = self._span(x, state)
        y = self._joint(x, self.weight, self.bias)
        factor = self.factor[done:end].to(y.dtype)
        return y * factor.reshape(-1, *(1 for _ in y.shape[1:])), State(step=torch.tensor(end))


class BatchNormThroughTime(_Stepwise):
    """BNTT: ``y_t = gamma_t (x_t - mean_t) / sqrt(var_t + eps)``: averages and scale of each step by itself, no shift.

    Kim & Panda 2021 (Frontiers in Neuroscience 15:773954, arXiv:2010.01729), with the ``eps`` of 1e-4 and without the
    shift of their code.

    A sequence may be shorter than ``steps``, not longer: :class:`ShapeError`. In evaluation a step that training never
    came to, while it came to others, is a :class:`StateError`: its averages would be made up.

    >>> layer = BatchNormThroughTime(1, steps=2)
    >>> y, _ = layer(torch.tensor([[[0.0], [2.0]], [[0.0], [20.0]]]))
    >>> y.round(decimals=2)[..., 0].tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    calls: torch.Tensor

    def __init__(self, features: int, steps: int, *, eps: float = 1e-4, momentum: float = 0.1) -> None:
        super().__init__(features, steps, eps, momentum, apart=True)
        self.weight = torch.nn.Parameter(torch.ones(steps, features))
        self.register_buffer("calls", torch.zeros(steps, dtype=torch.int64))

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        done, end = self._span(x, state)
        if done == end:
            return x, State(step=torch.tensor(end))
        if self.training:
            self.calls[done:end] += 1
        else:
            self._check_seen(done, end)
        # Steps beside channels: [B, T C, ...], of which torch averages each column by itself.
        columns = x.transpose(0, 1).flatten(1, 2)
        mean, var = (kept[done:end].view(-1) for kept in (self.running_mean, self.running_var))
        y = self._normalised(columns, mean, var, self.weight[done:end].reshape(-1), None)
        return y.unflatten(1, (end - done, self.features)).transpose(0, 1), State(step=torch.tensor(end))

    def _check_seen(self, done: int, end: int) -> None:
        unseen = (self.calls[done:end] == 0).nonzero()
        if len(unseen) and bool(self.calls.any()):
            mend = "Train with sequences as long as those of evaluation."
            what = f"{self._label}: a step that training never came to"
            raise StateError(what, got=f"step {done + int(unseen[0])}, counted from 0", mend=mend)


def _checked_count(label: str, name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ParameterError(f"{label}: {name}", got=value, expected="a whole number of at least 1")
    return value


def _checked_step(state: Mapping[str, Any], label: str) -> int:
    step = state["step"]
    if not isinstance(step, torch.Tensor) or step.dim() or not (step >= 0 and step % 1 == 0):
        mend = "Pass on the state that this net returned, or None to start afresh."
        raise StateError(f"{label}: the step in the state", got=repr(step), expected="a whole number >= 0", mend=mend)
    return int(step)


__all__ = ["BatchNorm", "BatchNormThroughTime", "TemporalBatchNorm", "ThresholdBatchNorm"]

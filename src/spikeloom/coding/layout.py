"""Whether a tensor is what it is taken for: spikes, and a sequence with time before batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ParameterError, ShapeError, SpikeError
from ._check import check_axes


def check_spikes(spikes: Tensor, *, multiple: bool = False) -> Tensor:
    """``spikes`` itself, when it is a sequence ``[T, B, ...]`` of 0 and 1 with at least one step.

    Any dtype, bool included. The check reads every value once and, on a GPU, waits for the result.

    :param multiple: allow whole numbers, for models that may emit several spikes in one step.
    :raises SpikeError: other values, NaN among them.
    :raises ShapeError: fewer than two axes, or no steps.

    >>> check_spikes(torch.tensor([[0.0], [0.5]]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    spikeloom.errors.SpikeError: values are not spikes: got 0.5, expected 0 or 1. Decode a membrane with ...
    """
    check_sequence(spikes, "spikes")
    values = spikes.detach()
    if values.dtype == torch.bool:
        return spikes
    if multiple:
        valid = (values >= 0) & (values == values.floor()) & torch.isfinite(values)
    else:
        valid = (values == 0) | (values == 1)
    if not bool(valid.all()):
        first = values[~valid][0].item()
        if not multiple and math.isfinite(first) and first > 0 and first == int(first):
            mend = "Pass multiple=True where a neuron may spike several times in one step."
        else:
            mend = "Decode a membrane with membrane_max, membrane_mean or membrane_last."
        expected = "whole numbers" if multiple else "0 or 1"
        raise SpikeError("values are not spikes", got=first, expected=expected, mend=mend)
    return spikes


def check_sequence(y: Tensor, name: str = "y") -> Tensor:
    """``y`` itself, when it is a tensor ``[T, B, ...]`` with at least one step.

    :raises ShapeError: fewer than two axes, or no steps.

    >>> check_sequence(torch.zeros(5, 2, 3)).shape
    torch.Size([5, 2, 3])
    """
    check_axes(y, name, "T, B")
    if y.shape[0] == 0:
        raise ShapeError(f"{name} has no steps", got=list(y.shape), expected="[T, B, ...] with T >= 1")
    return y


def check_labels(y: Tensor, labels: Tensor) -> Tensor:
    """``labels`` itself, when they are class indices ``[B]`` that fit an output sequence ``y [T, B, C]``.

    A loss that takes both should call this first: with time and batch swapped, most losses still give a
    number. Where T equals B a swap cannot be seen from shapes, which is why the layout is the same
    everywhere.

    :raises ShapeError: time and batch look swapped, or the lengths differ otherwise.
    :raises ParameterError: labels that are not integers, or outside 0 to C - 1.

    >>> check_labels(torch.zeros(5, 2, 3), torch.tensor([0, 2, 1, 1, 0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    spikeloom.errors.ShapeError: batch and time look swapped: got y [5, 2, 3] with 5 labels, ...
    """
    check_sequence(y)
    if y.ndim != 3:
        raise ShapeError("class scores over time", got=list(y.shape), expected="[T, B, C]")
    steps, batch, classes = y.shape
    if labels.ndim == 1 and len(labels) == steps != batch:
        raise ShapeError(
            "batch and time look swapped",
            got=f"y {list(y.shape)} with {len(labels)} labels",
            expected="y [T, B, C] with B labels",
            mend="Use y.transpose(0, 1).",
        )
    return check_classes(labels, batch, classes)


def check_classes(labels: Tensor, batch: int, classes: int) -> Tensor:
    """``labels`` itself, when they are ``batch`` integers from 0 to ``classes`` - 1.

    :raises ShapeError: another shape than ``[batch]``.
    :raises ParameterError: labels that are not integers, or out of range.

    >>> check_classes(torch.tensor([0, 2]), batch=2, classes=3)
    tensor([0, 2])
    """
    if labels.shape != (batch,):
        mend = "Outputs are [T, B, C]: check that batch and time are not swapped."
        raise ShapeError("labels do not fit the batch", got=list(labels.shape), expected=[batch], mend=mend)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        mend = "Use class indices; from one-hot take .argmax(-1)."
        raise ParameterError("labels", got=labels.dtype, expected="an integer dtype", mend=mend)
    if batch:
        low, high = (int(bound) for bound in torch.aminmax(labels))
        if low < 0 or high >= classes:
            raise ParameterError("labels are out of range", got=f"{low} to {high}", expected=f"0 to {classes - 1}")
    return labels

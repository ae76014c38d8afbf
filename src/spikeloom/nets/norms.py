"""How networks are told which normalisation to use: by a function from a number of channels to a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch

from ..errors import ParameterError
from ..models.base import NeuronModel
from ..nn import ThresholdBatchNorm

Norm = Callable[[int], torch.nn.Module]
"""Makes the normalisation of a number of channels, such as ``torch.nn.BatchNorm2d``."""


def threshold_norm(neuron: NeuronModel, *, alpha: float = 1.0) -> Norm:
    """Threshold-dependent batch norms for layers of ``neuron``, whose ``scale()`` is the way from rest to threshold.

    Raises :class:`ParameterError` for a neuron whose scale is no single number.

    >>> import spikeloom as sl
    >>> threshold_norm(sl.LIF(v_rest=-65.0, v_threshold=-50.0))(8)
    ThresholdBatchNorm(8, eps=1e-05, momentum=0.1, v_threshold=15, alpha=1)
    """
    try:
        distance = float(neuron.scale())
    except (TypeError, ValueError):
        mend = "Give a norm of your own, such as lambda channels: sl.nn.ThresholdBatchNorm(channels, v_threshold=1.0)."
        expected = "one number"
        raise ParameterError("scale of the neuron", got=neuron.scale(), expected=expected, mend=mend) from None

    def norm(channels: int) -> torch.nn.Module:
        return ThresholdBatchNorm(channels, v_threshold=distance, alpha=alpha)

    return cast(Norm, norm)

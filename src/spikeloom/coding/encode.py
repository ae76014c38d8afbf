"""From numbers to spikes. Public as ``sl.encode``.

Every encoder takes finite floating values ``[B, ...]`` in [0, 1] and gives ``[T, B, ...]`` on the same
device and in the same dtype; no gradient passes through (``direct`` excepted). Steps count from 0, and a
spike belongs to the step at whose end it is detected, as everywhere in this package.

==============  ====================================================================================
``direct``      the value itself at every step, for a first layer that learns its own code
``rate``        random spikes, P(spike) = value at every step
``bernoulli``   the same for probabilities ``[T, B, ...]`` that change over time
``regular``     evenly spaced spikes, T * value of them
``latency``     one spike, earlier for larger values
``phase``       the binary digits of the value, most significant first
``burst``       spikes from the first step on: more and closer ones for larger values
``population``  several neurons per value, each tuned to its own range
``delta``       changes of a signal ``[T, B, ...]``, as ON and OFF events
==============  ====================================================================================

``receptive_fields`` gives the tuning curves under ``population``, and ``phase_weights`` what a spike of
``phase`` is worth. The way back, where there is one, has the same name in ``sl.decode``.
"""

from ._change import delta
from ._fields import population, receptive_fields
from ._rates import bernoulli, direct, rate, regular
from ._times import burst, latency, phase, phase_weights

__all__ = [
    "bernoulli",
    "burst",
    "delta",
    "direct",
    "latency",
    "phase",
    "phase_weights",
    "population",
    "rate",
    "receptive_fields",
    "regular",
]

"""Every random draw of a training is a function of a seed and a name, never of what was drawn before."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def derive_seed(seed: int, *path: str | int) -> int:
    """A seed in [0, 2^63) for one purpose, such as ``derive_seed(0, "order", epoch)``.

    >>> derive_seed(0, "order", 1) == derive_seed(0, "order", 2)
    False
    """
    digest = hashlib.blake2b(repr((seed, *path)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def batches(samples: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The indices of each minibatch of an epoch: every sample once, the last batch may be smaller.

    >>> sorted(np.concatenate(batches(5, 2, seed=0, epoch=1)).tolist())
    [0, 1, 2, 3, 4]
    """
    order = np.random.Generator(np.random.Philox(derive_seed(seed, "order", epoch))).permutation(samples)
    return np.split(order, range(batch_size, samples, batch_size))

"""Memory for large CPU tensors, lent again when nobody holds the last tensor in it.

The C library hands large blocks back to the system at every ``free``, and the next ``malloc`` pays a page fault for
each four kilobytes: more time than a scan's kernels take. Here a block is kept for the next tensor of its size.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import math
import os
import threading
import weakref
from collections.abc import Sequence

import numpy as np
import torch

from ..errors import ParameterError

_SMALLEST = 2**20  # bytes; what is smaller, the C library keeps by itself
_ALIGN = 64  # bytes of a cache line
_WIDEST = 2  # a layer after a pooling takes the blocks of the layer before it, which are this much larger
_VARIABLE, _DEFAULT_MIB = "SPIKELOOM_POOL_MIB", 512.0
_NUMPY = {torch.float32: np.dtype("f4"), torch.float64: np.dtype("f8"), torch.uint8: np.dtype("u1")}


class _Lease(weakref.ref[np.ndarray]):
    """Hears of the death of an array that was lent; ``weakref.finalize`` does the same in four times the time."""

    __slots__ = ("block",)
    block: np.ndarray


class BlockPool:
    """Blocks of memory that nobody uses, at most ``limit`` bytes of them; the longest unused are dropped first.

    A block comes back when the array that was lent dies, in whatever thread that happens, possibly in the middle of
    one of these methods (a garbage collection). So nothing here waits for a lock: blocks come back into an inbox, and
    whoever holds the lock puts the inbox in order; who does not get it takes fresh memory.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.forget()

    def forget(self) -> None:
        """Drop all blocks, and locks that another thread held when this process was forked."""
        self._lock = threading.Lock()
        self._free: list[np.ndarray] = []  # the longest unused first
        self._inbox: collections.deque[np.ndarray] = collections.deque()
        self._leases: dict[int, _Lease] = {}

    @property
    def kept(self) -> int:
        """Bytes of the blocks that wait for use."""
        return sum(block.nbytes for block in list(self._free))

    def lend(self, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """An uninitialised array, 64-byte aligned, whose memory comes back to the pool when this object dies.

        Views of a NumPy array hold its memory and not the array itself, so that only this object counts.
        """
        size = size_class(math.prod(shape) * dtype.itemsize)
        block = self._reused(size)
        if block is None:
            block = _aligned(size)
        lent = np.ndarray(shape, dtype, buffer=block)
        lease = _Lease(lent, self._give_back)
        lease.block = block
        self._leases[id(lease)] = lease
        return lent

    def _reused(self, size: int) -> np.ndarray | None:
        """The smallest block with room for ``size`` and not for twice as much; of several the one that was used last,
        which is the likeliest to be in a cache."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            sizes = [block.nbytes for block in self._free]
            fitting = min((n for n in sizes if size <= n <= _WIDEST * size), default=None)
            return None if fitting is None else self._free.pop(len(sizes) - 1 - sizes[::-1].index(fitting))
        finally:
            self._lock.release()
            self._sort_in()

    def _give_back(self, lease: _Lease) -> None:
        self._leases.pop(id(lease), None)
        self._inbox.append(lease.block)
        self._sort_in()

    def _sort_in(self) -> None:
        while self._inbox and self._lock.acquire(blocking=False):
            try:
                with contextlib.suppress(IndexError):
                    while True:
                        self._free.append(self._inbox.popleft())
                while self._free and self.kept > self.limit:
                    del self._free[0]
            finally:
                self._lock.release()


def _aligned(size: int) -> np.ndarray:
    """Fresh bytes; NumPy asks the system for huge pages where there are any."""
    raw = np.empty(size + _ALIGN, np.uint8)
    first = -raw.ctypes.data % _ALIGN
    return raw[first : first + size]


def aligned(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Zeros that begin on a line of the cache: threads that own whole lines of them never wait for each other's.

    >>> aligned((3, 5), np.dtype("f4")).ctypes.data % 64
    0
    """
    found = np.ndarray(shape, dtype, buffer=_aligned(math.prod(shape) * dtype.itemsize))
    found.fill(0)
    return found


def size_class(size: int) -> int:
    """``size`` in bytes rounded up to one of four steps an octave, so that nearly equal sizes share their blocks.

    >>> size_class(1025), size_class(1280), size_class(1281), size_class(2048)
    (1280, 1280, 1536, 2048)
    """
    step = 1 << max((size - 1).bit_length() - 3, 0)
    return -(-size // step) * step


@functools.lru_cache(maxsize=1)
def pool() -> BlockPool:
    """The pool of this process; a forked child starts with an empty one."""
    made = BlockPool(_limit())
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made.forget)
    return made


def _limit() -> float:
    """The bytes that may wait for use: ``$SPIKELOOM_POOL_MIB`` mebibytes, 0 to keep nothing."""
    text = os.environ.get(_VARIABLE) or str(_DEFAULT_MIB)
    try:
        mebibytes = float(text)
    except ValueError:
        mebibytes = math.nan
    if not 0 <= mebibytes < math.inf:
        raise ParameterError(f"environment variable {_VARIABLE}", got=repr(text), expected="a number of MiB >= 0")
    return mebibytes * 2**20


def uninitialised(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """``torch.empty``, on the CPU from the pool where it is large.

    The tensor is an ordinary one that holds memory of NumPy's: its storage alone keeps the block, so any view of it,
    by torch or by NumPy, and any saved copy of it does. As with ``torch.from_numpy``, its storage cannot grow.
    """
    large = device.type == "cpu" and dtype in _NUMPY and math.prod(shape) * dtype.itemsize >= _SMALLEST
    if not large:
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(pool().lend(shape, _NUMPY[dtype]))

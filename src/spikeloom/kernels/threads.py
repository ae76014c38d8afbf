"""Run a nogil kernel over fixed blocks on a small thread pool of our own.

Numba's OpenMP layer kills forked children and its workqueue aborts when two threads enter it; a pool that notices
a fork has neither fault. Kernels give the same result for any split, so the number of threads decides on speed only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_ALIGN = 64  # lanes; a block's rows then start on whole cache lines
_WORTHWHILE = 65_536  # element updates below which handing out work costs more than it saves


class _Pool:
    """The executor of this process; a forked child makes its own."""

    def __init__(self) -> None:
        self._owner, self._executor = 0, None

    def get(self, workers: int) -> ThreadPoolExecutor:
        if self._executor is None or self._owner != os.getpid() or self._executor._max_workers < workers:
            self._executor = ThreadPoolExecutor(workers, thread_name_prefix="spikeloom")
            self._owner = os.getpid()
        return self._executor


_pool = _Pool()


def over_blocks(kernel: Callable[[int, int], None], width: int, steps: int) -> None:
    """Call ``kernel(begin, end)`` for blocks that cover ``range(width)``, on as many threads as torch uses."""
    threads = torch.get_num_threads()
    if threads == 1 or width * steps < _WORTHWHILE or width < 2 * _ALIGN:
        kernel(0, width)
        return
    share = -(-width // threads)
    size = -(-share // _ALIGN) * _ALIGN
    blocks = [(begin, min(begin + size, width)) for begin in range(0, width, size)]
    futures = [_pool.get(threads - 1).submit(kernel, *block) for block in blocks[1:]]
    kernel(*blocks[0])
    for future in futures:
        future.result()

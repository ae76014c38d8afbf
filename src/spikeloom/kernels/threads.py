"""Run a nogil kernel over fixed blocks, on torch's own threads.

Torch's OpenMP threads go on spinning for milliseconds after each of its operators. Threads beside them would have to
share the cores with the spinning ones, so kernels join torch's team: they call the very function of the OpenMP
library that torch's operators call. Where there is none (another system, or a forked child, which OpenMP's threads do
not survive) a small pool of our own takes over. Kernels give the same result for any split, so the number of threads
and who they are decide on speed only.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

_ALIGN = 64  # lanes; a block's rows then start on whole cache lines
_WORTHWHILE = 65_536  # element updates below which handing out work costs more than it saves
_TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

Kernel = Callable[[int, int], None]


class _Work:
    """Blocks that several threads take one after another, and what went wrong in them."""

    def __init__(self, kernel: Kernel, blocks: list[tuple[int, int]]) -> None:
        self.kernel, self.blocks, self.failures = kernel, blocks, list[BaseException]()

    def run(self, _: object = None) -> None:
        """Work until no block is left. Nothing is raised, as the caller may be C code, which passes nothing on."""
        try:
            while self.blocks:
                try:
                    block = self.blocks.pop()
                except IndexError:  # another thread took the last one
                    return
                self.kernel(*block)
        except BaseException as failure:
            self.failures.append(failure)


class _Threads:
    """The threads of this process."""

    def __init__(self) -> None:
        self._importer = self._owner = os.getpid()
        self._executor: ThreadPoolExecutor | None = None

    def run(self, work: _Work, threads: int) -> None:
        team = _openmp() if os.getpid() == self._importer else None
        if team is not None:
            team(_TASK(work.run), None, threads, 0)
        else:
            futures = [self._pool(threads - 1).submit(work.run) for _ in range(threads - 1)]
            work.run()
            for future in futures:
                future.result()

    def _pool(self, workers: int) -> ThreadPoolExecutor:
        if self._executor is None or self._owner != os.getpid() or self._executor._max_workers < workers:
            self._executor = ThreadPoolExecutor(workers, thread_name_prefix="spikeloom")
            self._owner = os.getpid()
        return self._executor


_threads = _Threads()


@functools.lru_cache(maxsize=1)
def _openmp() -> Callable[..., Any] | None:
    """``GOMP_parallel(task, data, threads, flags)``, which runs a task once on each thread, where there is one.

    Looking it up in the whole process finds what torch's libraries found: LLVM's and Intel's runtimes have it too.
    """
    try:
        found = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes, found.restype = (_TASK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return found


def over_blocks(kernel: Kernel, width: int, steps: int) -> None:
    """Call ``kernel(begin, end)`` for blocks that cover ``range(width)``, on as many threads as torch uses."""
    threads = torch.get_num_threads()
    if threads == 1 or width * steps < _WORTHWHILE or width < 2 * _ALIGN:
        kernel(0, width)
        return
    share = -(-width // threads)
    size = -(-share // _ALIGN) * _ALIGN
    work = _Work(kernel, [(begin, min(begin + size, width)) for begin in range(0, width, size)])
    _threads.run(work, len(work.blocks))
    if work.failures:
        raise work.failures[0]

"""How the work of a call is cut into pieces that threads take one after the other."""

from __future__ import annotations

import functools

import numpy as np

from .source import ITEM, ROWS

_WORTHWHILE = 50_000  # nanoseconds of work from which on a second thread pays
_PER_THREAD = 4  # pieces at least, so that a thread that is held up leaves its work to others


@functools.lru_cache(maxsize=256)
def pieces(costs: tuple[float, ...], given: bool, steps: int, batch: int, threads: int) -> tuple[int, np.ndarray]:
    """How many threads to use, and the pieces [P, 8]; ``costs`` are nanoseconds a step and sample of each stage.

    The first stage packs the input; it is left out where rows are ``given``.

    >>> pieces((1.0, 1.0), False, 1, 1, 2)[1].tolist()  # one piece: all stages, sample 0 to 1, part 0 of 1
    [[0, 2, 0, 1, 0, 1, 0, 0]]
    """
    first, stages = int(given), len(costs)
    threads = threads if steps * batch * sum(costs) > _WORTHWHILE else 1
    rows: list[list[int]] = []
    if threads == 1:
        rows = [[first, stages, 0, batch, 0, 1, 0, 0]]
    elif batch >= _PER_THREAD * threads:
        size = max(min(-(-ROWS // steps), batch // (_PER_THREAD * threads)), 1)
        rows = [[first, stages, b, min(b + size, batch), 0, 1, 0, 0] for b in range(0, batch, size)]
    else:
        for stage in range(first, stages):
            before = len(rows)
            rows += [[stage, stage + 1, 0, batch, part, threads, before, 0] for part in range(threads)]
    found = np.array(rows, np.int64).reshape(-1, ITEM)
    found.flags.writeable = False
    return threads, found


__all__ = ["pieces"]

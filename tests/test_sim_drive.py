"""Threads of a network wait for each other as late as they can, and never look for what is not there yet or any more.

Tasks here only leave the number of their step where spikes would be listed, and look for those of all parts a delay
later; every now and then one of the threads takes much longer. The real tasks are compared on any number of threads in
test_sim_engine.
"""

from __future__ import annotations

import functools
import itertools

import numba
import numpy as np
import pytest
from numba.types import CPointer, int64, void

from spikeloom.kernels.propagate.drive import LEAD, Task, drive, own_task
from spikeloom.lang.dialects.numba_threads import pointer

PARTS, STEPS = 3, 4000
SIGNATURE = void(int64, int64, int64, int64, CPointer(int64))
HOW = {"error_model": "numpy"}


@functools.cache
def compiled(name: str) -> int:
    def idle(begin, end, step, part, table):  # type: ignore[no-untyped-def]
        number = (step * 7919 + part * 104729 + table[2]) % 97
        for k in range(20000 if number == 0 else 0):
            table[3 + 16 * (part + 1)] += k

    def fire(begin, end, step, part, table):  # type: ignore[no-untyped-def]
        pointer(table[0], int64)[8 * ((step % table[1]) * 3 + part)] = step

    def look(begin, end, step, part, table):  # type: ignore[no-untyped-def]
        for other in range(3):
            found = pointer(table[0], int64)[8 * (((step - table[4]) % table[1]) * 3 + other)]
            if found != step - table[4]:
                pointer(table[3], int64)[16 * part] += 1

    return numba.cfunc(SIGNATURE, **HOW)(locals()[name]).address


def wrong(order: str, delay: int, window: int, slots: int) -> int:
    """How often a part did not find what another had left ``delay`` steps before; tasks come in the ``order``."""
    left = np.full((slots, PARTS, 8), -1, np.int64)
    for step in range(-delay, 0):
        left[step % slots] = step
    missed, bounds = np.zeros(16 * PARTS, np.int64), np.zeros(PARTS + 1, np.int64)
    table = np.array([left.ctypes.data, slots, 0, missed.ctypes.data, delay], np.int64)
    tables = [table] + [np.r_[np.array([0, 0, 31 * k, 0], np.int64), np.zeros(128, np.int64)] for k in range(3)]

    def nothing(step: int) -> None:
        pass

    tasks: list[Task] = []
    for k, kind in enumerate(order):
        if kind == "f":
            tasks.append(Task(compiled("fire"), table, bounds, nothing, receives=False))
        elif kind == "l":
            tasks.append(Task(compiled("look"), table, bounds, nothing, fires=False))
        else:
            tasks.append(own_task(compiled("idle"), tables[1 + k % 3], bounds, nothing))
    drive(tasks, 0, STEPS, window, PARTS)
    return int(missed.sum())


CASES = [
    (order, delay, window)
    for order, (delay, window) in itertools.product(
        ("f_l_", "l_f_", "_f_l", "_l_f", "fl", "f_l_f_l"), ((1, 1), (2, 1), (4, 4), (7, 5))
    )
]


@pytest.mark.parametrize(("order", "delay", "window"), CASES)
def test_spikes_are_there_when_they_are_looked_at(order: str, delay: int, window: int) -> None:
    assert wrong(order, delay, window, delay + window + LEAD) == 0


def test_a_thread_that_waits_for_nobody_is_found_out() -> None:
    assert wrong("f_l_", 3, 4, 12) > 0  # a window longer than the delay


def test_two_steps_ahead_are_needed() -> None:
    # with fewer slots a fast thread writes over what a slow one still looks at
    found = [wrong("f_l_", 1, 1, 1 + 1 + lead) for lead in range(LEAD)]
    assert any(found)


def test_a_task_before_which_all_meet() -> None:
    left = np.full((4, PARTS, 8), -1, np.int64)
    missed, bounds = np.zeros(16 * PARTS, np.int64), np.zeros(PARTS + 1, np.int64)
    table = np.array([left.ctypes.data, 4, 0, missed.ctypes.data, 0], np.int64)
    idle = np.r_[np.array([0, 0, 5, 0], np.int64), np.zeros(128, np.int64)]
    tasks = [
        own_task(compiled("idle"), idle, bounds, print),
        Task(compiled("fire"), table, bounds, print, receives=False),
        Task(compiled("look"), table, bounds, print, meet=True, fires=False),  # at this very step
        own_task(compiled("idle"), idle, bounds, print),
    ]
    drive(tasks, 0, STEPS, 2, PARTS)
    assert missed.sum() == 0

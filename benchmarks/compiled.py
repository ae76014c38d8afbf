"""A training step's forward and backward pass as it is against ``torch.compile``, for the recipes' networks.

    OMP_NUM_THREADS=1 python benchmarks/compiled.py [digits mnist mnist-conv] [--rounds 12]

Each network and its ANN twin sees one batch of random images of the recipe's size, one pixel in five not zero. Plain
and compiled passes take turns within a process, in changing order; time is that of the processor on one thread. Printed
are the median of the plain pass, the median ratio with its quartiles, and how long the first compiled call takes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from spikeloom.data.arrays import Labelled
from spikeloom.recipes import RECIPES
from spikeloom.recipes.problem import ANN, SPIKING, Parts, build

SECONDS = 0.3  # of one measurement


def images(side: int, *, flat: bool) -> Parts:
    generator = np.random.default_rng(0)
    shape = (256, side * side) if flat else (256, 1, side, side)
    x = generator.random(shape, dtype=np.float32) * (generator.random(shape) < 0.2)
    made = Labelled(x, np.arange(256) % 10)
    return Parts("random", made, made, made, tuple("0123456789"), (side, side))


def measure(name: str, variant: str, rounds: int) -> str:
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)
    config = recipe.configure()
    data = images(8, flat=True) if name == "digits" else images(28, flat=False)
    task = build(recipe, config, 0, data, variant)
    shown, labels = task.batch(data.train, slice(0, config.optimiser.batch_size))
    x = task.encode(shown, 0)
    task.net.train()

    def once(net: Callable[[torch.Tensor], tuple[torch.Tensor, object]]) -> float:
        began = time.process_time()
        task.net.zero_grad(set_to_none=True)
        task.loss(net(x)[0], labels).backward()
        return time.process_time() - began

    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = 64
    ways = (task.net, torch.compile(task.net, dynamic=False))
    began = time.perf_counter()
    once(ways[1])
    first = time.perf_counter() - began
    repeats = max(1, int(SECONDS / (once(ways[0]) + once(ways[0])) * 2))
    times = [[0.0] * rounds, [0.0] * rounds]
    for round_ in range(rounds):
        for way in (0, 1) if round_ % 2 else (1, 0):
            times[way][round_] = sum(once(ways[way]) for _ in range(repeats)) / repeats
    ratios = [compiled / plain for plain, compiled in zip(*times, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    plain = 1e3 * statistics.median(times[0])
    return (
        f"{name:<11} {variant:<8} {plain:8.2f} ms, compiled {middle:.2f} times ({low:.2f} to {high:.2f}), "
        f"first call {first:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["digits", "mnist", "mnist-conv"])
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.recipes:
        for variant in (SPIKING, ANN):
            print(measure(name, variant, options.rounds), flush=True)


if __name__ == "__main__":
    main()

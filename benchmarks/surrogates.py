"""Does a compact surrogate cost accuracy? Recipes trained with the default one and with triangles, seed by seed.

    python benchmarks/surrogates.py digits [--seeds 5]
    python benchmarks/surrogates.py mnist --root PATH [--seeds 3] [--epochs 3]

Everything but the surrogate is the recipe's, which was chosen with the default one; MNIST's net has two hidden layers
of 512 and no dropout, as W2 in benchmarks/mlp.py has. Printed are mean ± standard deviation over seeds of the accuracy
on the validation set, by which each run also chooses its epoch, and on the test set, which chooses nothing; the number
of seeds that are better and worse than the default's on the validation set; and whether input gradients were skipped.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Iterable
from pathlib import Path

import torch

import spikeloom as sl
from spikeloom.recipes import RECIPES, ImagesConfig, Recipe
from spikeloom.recipes.classification import fit_settings, last_look
from spikeloom.recipes.common import TrainConfig
from spikeloom.recipes.problem import Parts, build, problem_of
from spikeloom.surrogates import Surrogate
from spikeloom.train.loop import fit

SKIPPED = "spike_linear/cpu/Linear/backward-needed"
SURROGATES: dict[str, Surrogate] = {
    "ATan (default)": sl.ATan(),
    **{f"Triangle({width:g})": sl.Triangle(width=width) for width in (1.0, 0.5, 0.25)},
}


def settled(options: argparse.Namespace) -> tuple[Recipe, TrainConfig]:
    recipe = next(r for r in RECIPES if r.name == options.recipe)
    config = recipe.configure()
    if isinstance(config, ImagesConfig):
        net = dataclasses.replace(config.net, hidden=(512, 512), dropout=0.0)
        config = dataclasses.replace(config, net=net, data=dataclasses.replace(config.data, root=options.root))
    return recipe, dataclasses.replace(config, epochs=options.epochs or config.epochs)


def trained(recipe: Recipe, config: TrainConfig, parts: Parts, seed: int, surrogate: Surrogate) -> tuple[float, float]:
    """Accuracy in % on the validation and the test set."""
    task = build(recipe, config, seed, parts)
    for module in task.net.modules():
        if isinstance(module, sl.nn.Neuron):
            module.surrogate = surrogate
    best = fit(task, fit_settings(config), parts.train, parts.validation, seed=seed).best
    return 100 * best.validation_accuracy, 100 * last_look(task, parts.test, seed).accuracy.correct


def spread(values: Iterable[float]) -> str:
    numbers = list(values)
    return f"{statistics.mean(numbers):.2f} ± {statistics.stdev(numbers) if len(numbers) > 1 else 0.0:.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", choices=("digits", "mnist"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="0: the recipe's")
    parser.add_argument("--root", type=Path, default=Path("data"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe, config = settled(options)
    parts = problem_of(recipe).load(config)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SURROGATES}
    skipped: set[str] = set()
    for seed in range(options.seeds):
        for name, surrogate in SURROGATES.items():
            sl.last_kernels()
            found[name].append(trained(recipe, config, parts, seed, surrogate))
            if SKIPPED in sl.last_kernels():
                skipped.add(name)
    print(f"{recipe.name}, {config.epochs} epochs, {options.seeds} seeds")
    first = [validation for validation, _ in next(iter(found.values()))]
    for name, pairs in found.items():
        validation, test = (list(values) for values in zip(*pairs, strict=True))
        better = sum(a > b for a, b in zip(validation, first, strict=True))
        worse = sum(a < b for a, b in zip(validation, first, strict=True))
        note = ", input gradients skipped" if name in skipped else ""
        print(f"  {name:16s} validation {spread(validation)} (+{better} -{worse}), test {spread(test)}{note}")


if __name__ == "__main__":
    main()

"""Recipes: a function that returns a configuration, and the module that makes data and a network of it.

Importing this package imports no torch; the module of a recipe is imported only when it runs.
"""

from __future__ import annotations

from .digits import DigitsConfig, digits
from .images import ImagesConfig, fashion_mnist, mnist, mnist_conv
from .recipe import Recipe

_IMAGES = "spikeloom.recipes.images_task"
RECIPES = (
    Recipe(
        "digits",
        "a spiking network on 1797 real handwritten digits, offline",
        digits,
        "spikeloom.recipes.digits_task",
    ),
    Recipe("mnist", "a fully connected spiking network on MNIST (--data.root PATH)", mnist, _IMAGES),
    Recipe("mnist-conv", "a convolutional spiking network on MNIST (--data.root PATH)", mnist_conv, _IMAGES),
    Recipe(
        "fashion-mnist",
        "a convolutional spiking network on Fashion-MNIST (--data.root PATH)",
        fashion_mnist,
        _IMAGES,
    ),
)

__all__ = ["RECIPES", "DigitsConfig", "ImagesConfig", "Recipe", "digits", "fashion_mnist", "mnist", "mnist_conv"]

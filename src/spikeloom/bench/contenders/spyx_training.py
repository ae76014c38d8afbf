"""Spyx's ``LIF`` under its ``run``: JAX compiles the whole pass or training step.

Its spikes are not those of the others: the membrane of the step before is compared with the threshold, and the
threshold is taken off after the decay. :mod:`.spyx_equations` has the same.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import Any

from .training import DECAY, actions, drawn, fingerprint


class Spyx:
    """Layers of weights are called once over all steps; nothing is kept from one call to the next but the weights."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.jax: Any = importlib.import_module("jax")
        self.nnx: Any = importlib.import_module("flax.nnx")
        self.spyx: Any = importlib.import_module("spyx")
        self.adam: Any = importlib.import_module("optax").adam(1e-5)
        data, put = drawn(spec), self.jax.numpy.asarray
        self.mode = spec["mode"]
        self.x, self.weights = put(data["x"]), [put(weight) for weight in data["weights"]]
        self.other = put(data["grad" if spec["kind"] == "neurons" else "labels"])
        self.state = self.adam.init(self.weights)
        begun = time.perf_counter()
        self.program = self.compiled({"both": self.gradient, "train": self.step, "infer": self.inferred}[self.mode])
        self.facts = {"given": fingerprint(data), "compile": time.perf_counter() - begun}

    def compiled(self, function: Callable[..., Any]) -> Any:
        """One program for everything that ``function`` does with weights, state, input and gradient or labels."""
        return self.jax.jit(function).lower(*self.arguments()).compile()

    def arguments(self) -> tuple[Any, ...]:
        """What programs take."""
        return self.weights, self.state, self.x, self.other

    def lif(self, x: Any) -> Any:
        """Spikes of a layer."""
        how = {"beta": DECAY, "activation": self.spyx.axn.superspike(k=1), "rngs": self.nnx.Rngs(0)}
        return self.spyx.nn.run(self.spyx.nn.LIF(x.shape[2:], **how), x)[0]

    def layers(self, weights: Any, x: Any) -> list[Any]:
        """Spikes of each layer."""
        spikes: list[Any] = []
        for weight in weights:
            x = self.lif(x @ weight.T)
            spikes.append(x)
        return spikes or [self.lif(x)]

    def loss(self, weights: Any, x: Any, labels: Any) -> tuple[Any, Any]:
        """Cross entropy of spike counts, and all spikes."""
        spikes = self.layers(weights, x)
        logits = self.jax.nn.log_softmax(spikes[-1].sum(0))
        return -logits[self.jax.numpy.arange(len(labels)), labels].mean(), spikes

    def inferred(self, weights: Any, state: Any, x: Any, labels: Any) -> Any:
        """Spike counts."""
        return self.layers(weights, x)[-1].sum(0)

    def gradient(self, weights: Any, state: Any, x: Any, grad: Any) -> Any:
        """The gradient of the input of neurons alone."""
        return self.jax.vjp(self.lif, x)[1](grad)[0]

    def step(self, weights: Any, state: Any, x: Any, labels: Any) -> Any:
        """Weights and Adam's state after a step."""
        grads = self.jax.grad(self.loss, has_aux=True)(weights, x, labels)[0]
        updates, state = self.adam.update(grads, state)
        return importlib.import_module("optax").apply_updates(weights, updates), state

    def call(self) -> None:
        """What is measured."""
        found = self.jax.block_until_ready(self.program(*self.arguments()))
        if self.mode == "train":
            self.weights, self.state = found

    def fresh(self) -> None:
        """Nothing is left behind."""

    def of_layers(self) -> list[Any]:
        """Spikes of all layers."""
        return self.layers(self.weights, self.x)

    def compared(self) -> dict[str, Any]:
        """Spikes of all layers, and gradients, as arrays of NumPy."""
        if self.mode == "train":
            program = self.compiled(lambda w, _, x, labels: self.jax.grad(self.loss, has_aux=True)(w, x, labels))
            grads, spikes = program(*self.arguments())
            found = {f"gradient {k}": grad for k, grad in enumerate(grads)}
        else:
            spikes = self.compiled(lambda w, _, x, __: self.layers(w, x))(*self.arguments())
            found = {"gradient of x": self.program(*self.arguments())} if self.mode == "both" else {}
        found |= {f"spikes {len(spikes) - k}": s for k, s in enumerate(spikes)}
        array = importlib.import_module("numpy").asarray
        return {name: array(value) for name, value in found.items()}


def load() -> dict[str, str]:
    """What takes part in the numbers."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    importlib.import_module("spyx")
    metadata = importlib.import_module("importlib.metadata")
    return {name: metadata.version(name) for name in ("spyx", "jax", "jaxlib", "flax")}


def start(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Build and compile. JAX has as many threads as the process may use processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["threads"]])
    made = Spyx(spec)
    return made.facts, actions(made, spec)

"""What contenders that train share: the same input, weights, loss and optimiser; they differ in the neuron."""

from __future__ import annotations

import importlib
import itertools
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from .on_card import OnCard, Recorded

DECAY = 0.875
SIDE = 32
# Standard deviations of weights: hidden layers are 1 to 5 % dense.
SPREAD = {"mlp": (0.034, 0.06, 0.06), "recurrent": (0.08, 0.028, 0.02), "conv": (0.26, 0.17, 0.02)}


def drawn(spec: dict[str, Any]) -> dict[str, Any]:
    """Input, gradient or labels, and weights, from generators of NumPy; ``spec`` may give their means and spreads."""
    numpy = importlib.import_module("numpy")
    random, kind, sizes = numpy.random.default_rng(0), spec["kind"], spec["sizes"]
    shape = (spec["steps"], spec["batch"], sizes[0], *((SIDE, SIDE) if kind == "conv" else ()))
    # In place: what is freed here stays with the process, and the memory of the first call would be counted without it.
    x = numpy.empty(shape, numpy.float32)
    for now in x:
        random.random(dtype=numpy.float32, out=now)
    if kind == "neurons":
        x *= 1.55
        x -= 0.6
        return {"x": x, "grad": random.standard_normal(shape, dtype=numpy.float32), "weights": []}
    for now in x:
        numpy.less(now, spec["density"], out=now)
    spreads = spec.get("weights") or [(0.0, spread) for spread in SPREAD[kind]]
    weights = standard_weights(kind, sizes)
    for weight, (mean, spread) in zip(weights, spreads, strict=True):
        weight *= numpy.float32(spread)
        weight += numpy.float32(mean)
    return {"x": x, "labels": random.integers(0, sizes[-1], spec["batch"]), "weights": weights}


def standard_weights(kind: str, sizes: Sequence[int]) -> list[Any]:
    """Weights of mean 0 and standard deviation 1, the same in every call."""
    numpy = importlib.import_module("numpy")
    shapes: list[tuple[int, ...]] = [(after, before) for before, after in itertools.pairwise(sizes)]
    if kind == "recurrent":
        shapes = [(sizes[1], sizes[0]), (sizes[1], sizes[1]), (sizes[2], sizes[1])]
    elif kind == "conv":
        shapes = [(sizes[1], sizes[0], 3, 3), (sizes[2], sizes[1], 3, 3), (sizes[3], sizes[2] * (SIDE // 4) ** 2)]
    random = numpy.random.default_rng(1)
    return [random.standard_normal(shape, dtype=numpy.float32) for shape in shapes]


def fingerprint(data: dict[str, Any]) -> int:
    """A number that differs where anything in what was :func:`drawn` does.

    >>> numpy = importlib.import_module("numpy")
    >>> data = {"x": numpy.zeros(3), "weights": [numpy.ones(2)]}
    >>> fingerprint(data) == fingerprint({**data, "weights": [numpy.array([1.0, 1.0 + 1e-9])]})
    False
    """
    found = 0
    for array in (*(data[name] for name in data if name != "weights"), *data["weights"]):
        found = zlib.crc32(array, found)
    return found


class Frame:
    """A framework on one workload: it supplies ``lif`` and ``recurrent``.

    ``scale`` is what its input must be multiplied by, where its neuron divides by it; ``axis`` is where time is.
    It lies on a CUDA device where ``spec`` says "gpu".
    """

    scale, axis = 1.0, 0

    def __init__(self, spec: dict[str, Any]) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.spec, data = spec, drawn(spec)
        self.device = self.torch.device("cuda" if spec.get("gpu") else "cpu")
        self.given = fingerprint(data)
        self.spikes: list[Any] = []
        self.x = self.layout(self.placed(data["x"]))
        if spec["kind"] == "neurons":
            self.x = self.x.mul_(self.scale).requires_grad_()
            self.grad = self.layout(self.placed(data["grad"]))
        else:
            self.labels = self.placed(data["labels"])
        # The last weights of two nets lead to no neuron.
        last = {"recurrent": 2, "conv": 2}.get(spec["kind"], len(data["weights"]))
        self.scales = [self.scale if k < last else 1.0 for k in range(len(data["weights"]))]
        self.weights = [
            self.torch.nn.Parameter(self.placed(w) * s) for w, s in zip(data["weights"], self.scales, strict=True)
        ]
        self.optimiser: Any = None
        self.fresh()

    def fresh(self) -> None:
        """Be as before the first call: what calls left behind is dropped, but for weights."""
        for weight in self.weights:
            weight.grad = None
        with self.device:
            self.build()
        how = {"capturable": True} if self.device.type == "cuda" else {}
        self.optimiser = self.torch.optim.Adam(self.weights, lr=1e-5, **how) if self.weights else None

    def placed(self, array: Any) -> Any:
        """An array of NumPy as a tensor where all is computed."""
        return self.torch.from_numpy(array).to(self.device)

    def lif(self) -> Callable[[Any], Any]:
        """A function from an input sequence to spikes."""
        raise RuntimeError("a framework has to supply it")

    def recurrent(self, w_in: Any, w_rec: Any) -> Callable[[Any], Any]:
        """The same with weights into the layer and within it."""
        raise RuntimeError("a framework has to supply it")

    def build(self) -> None:
        """Make what :meth:`output` needs."""
        kind = self.spec["kind"]
        if kind == "recurrent":
            self.layers = [self.recurrent(*self.weights[:2])]
        else:
            self.layers = [self.lif() for _ in range({"neurons": 1, "conv": 2}.get(kind, len(self.weights)))]

    def layout(self, x: Any) -> Any:
        """Time first, or the batch first."""
        return x.transpose(0, 1).contiguous() if self.axis else x

    def kept(self, spikes: Any) -> Any:
        """Note what is compared."""
        self.spikes.append(spikes)
        return spikes

    def output(self, x: Any) -> Any:
        """Spikes of the neurons alone; of a net the values that the loss takes."""
        functional, kind = self.torch.nn.functional, self.spec["kind"]
        self.spikes = []
        if kind == "neurons":
            return self.kept(self.layers[0](x))
        if kind == "recurrent":
            return functional.linear(self.kept(self.layers[0](x)).sum(self.axis), self.weights[2])
        lead = x.shape[:2]
        for layer, weight in zip(self.layers, self.weights, strict=False):
            if kind == "mlp":
                x = self.kept(layer(functional.linear(x, weight)))
            else:
                x = functional.conv2d(x.flatten(0, 1), weight, padding=1).unflatten(0, lead)
                x = functional.avg_pool2d(self.kept(layer(x)).flatten(0, 1), 2).unflatten(0, lead)
        if kind == "mlp":
            return x.sum(self.axis)
        return functional.linear(x.flatten(2), self.weights[2]).mean(self.axis)

    def call(self) -> None:
        """What is measured."""
        mode = self.spec["mode"]
        if mode == "infer":
            with self.torch.no_grad():
                self.output(self.x)
        elif mode == "both":
            self.torch.autograd.grad(self.output(self.x), self.x, self.grad)
        else:
            self.optimiser.zero_grad(set_to_none=True)
            self.torch.nn.functional.cross_entropy(self.output(self.x), self.labels).backward()
            self.optimiser.step()
        self.spikes = []

    def of_layers(self) -> list[Any]:
        """Spikes of all layers."""
        with self.torch.no_grad():
            self.output(self.x)
        return self.spikes

    def compared(self) -> dict[str, Any]:
        """Spikes of all layers, time first, and gradients, as arrays of NumPy."""
        mode, functional = self.spec["mode"], self.torch.nn.functional
        if mode == "infer":
            with self.torch.no_grad():
                self.output(self.x)
            grads: dict[str, Any] = {}
        elif mode == "both":
            (grad,) = self.torch.autograd.grad(self.output(self.x), self.x, self.grad)
            grads = {"gradient of x": self.layout(grad * self.scale)}
        else:
            loss = functional.cross_entropy(self.output(self.x), self.labels)
            found = zip(self.torch.autograd.grad(loss, self.weights), self.scales, strict=True)
            grads = {f"gradient {k}": grad * scale for k, (grad, scale) in enumerate(found)}
        last = len(self.spikes)
        spikes = {f"spikes {last - k}": self.layout(s.detach()) for k, s in enumerate(self.spikes)}
        return {name: value.cpu().numpy() for name, value in {**spikes, **grads}.items()}


def started(frame: type[Frame], spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Facts and actions of a contender that uses torch."""
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(spec["threads"])
    torch.backends.cudnn.allow_tf32 = False  # else convolutions of a card have 10 bits, which moves spikes
    made: Any = frame(spec)
    facts = {"given": made.given}
    if not spec.get("gpu"):
        return facts, actions(made, spec)
    facts["card"] = torch.cuda.get_device_name()
    made = (Recorded if spec.get("recorded") else OnCard)(made)
    return facts, {**actions(made, spec), "reset": made.reset, "memory": made.memory}


def actions(made: Any, spec: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """What is done with a :class:`Frame`, or with something that has its methods."""

    def compared() -> None:
        importlib.import_module("numpy").savez(spec["file"], **made.compared())

    def first() -> dict[str, float]:
        begun = time.perf_counter()
        made.call()
        return {"first": time.perf_counter() - begun}

    def turn() -> dict[str, float]:
        times: list[float] = []
        while sum(times) < spec["seconds"] or len(times) < 2:
            begun = time.perf_counter()
            made.call()
            times.append(time.perf_counter() - begun)
        return {"wall": sorted(times)[len(times) // 2]}

    def densities() -> dict[str, list[float]]:
        return {"densities": [float(spikes.mean()) for spikes in made.of_layers()]}

    return {"compare": compared, "first": first, "run": turn, "densities": densities, "fresh": made.fresh}


def versions(*packages: str) -> dict[str, str]:
    """Versions of torch and of ``packages``, which are imported."""
    metadata = importlib.import_module("importlib.metadata")
    for name in packages:
        importlib.import_module(name)
    return {name.split(".")[0]: metadata.version(name.split(".")[0]) for name in ("torch", *packages)}

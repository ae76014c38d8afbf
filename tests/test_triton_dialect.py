"""The elementary functions and literals of the Triton dialect, interpreted on the CPU."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from spikeloom.kernels.scan import gpu
from spikeloom.kernels.scan.plan import Plan
from spikeloom.lang import math as m
from spikeloom.lang.expr import Expr, lift, symbol
from spikeloom.lang.graph import Graph


def triton_version() -> list[int]:
    installed = importlib.util.find_spec("triton") is not None
    return [int(n) for n in importlib.metadata.version("triton").split(".")[:2]] if installed else [0, 0]


# NumPy warns of what compiled code computes in silence, for instance in the lanes that are masked out.
pytestmark = [
    pytest.mark.skipif(triton_version() < [3, 7], reason="needs Triton 3.7, whose interpreter knows NumPy 2.4"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),
]


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def evaluated(outputs: dict[str, Expr], x: np.ndarray) -> dict[str, np.ndarray]:
    """Expressions over ``x.v``, evaluated by a kernel of one step."""
    graph = Graph.make({"next.v": symbol("s.v"), **{f"shown.{n}": e for n, e in outputs.items()}}, ("s.v", "x.v"))
    arrays = {"x.v": torch.from_numpy(x[None].copy()), "next.v": torch.zeros(len(x), dtype=torch.from_numpy(x).dtype)}
    arrays |= {f"shown.{n}": torch.full_like(arrays["x.v"], math.nan) for n in outputs}
    gpu.forward(Plan(graph, Graph((), {}), frozenset()), 1, arrays, "Test", False)
    return {n: arrays[f"shown.{n}"][0].numpy() for n in outputs}


def functions() -> dict[str, tuple[Callable[[Expr], Expr], Callable[[np.ndarray], np.ndarray], np.ndarray]]:
    """Functions of the language, their truth, and where to look."""
    small = 10.0 ** np.linspace(-30, 0, 200)
    wide = np.concatenate([np.linspace(-20, 20, 401), small, -small])
    far = np.concatenate([wide, np.linspace(-87, 88, 200)])
    return {
        "exp": (m.exp, np.exp, far),
        "expm1": (m.expm1, np.expm1, far),
        "log1p": (m.log1p, np.log1p, np.concatenate([small, -small * 0.99, np.geomspace(1, 1e30, 200)])),
        "tanh": (m.tanh, np.tanh, wide),
        "sigmoid": (m.sigmoid, lambda x: 1.0 / (1.0 + np.exp(-x)), np.concatenate([wide, np.linspace(-80, 80, 100)])),
        "atan": (m.atan, np.arctan, np.concatenate([wide, 1.0 / small, -1.0 / small])),
        "pow": (lambda x: x**2.5, lambda x: x**2.5, np.geomspace(1e-3, 1e3, 400)),
        "sqrt": (m.sqrt, np.sqrt, np.geomspace(1e-30, 1e30, 400)),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(["exp", "expm1", "log1p", "tanh", "sigmoid", "atan", "pow", "sqrt"]))
def test_functions_are_accurate(name: str, dtype: type) -> None:
    """Within 4 units in the last place of a computation with more digits; pow in float64 within its logarithm."""
    apply, truth, x = functions()[name]
    x = x.astype(dtype)
    found = evaluated({"y": apply(symbol("x.v"))}, x)["y"]
    expected = truth(x.astype(np.longdouble))
    with np.errstate(over="ignore"):
        near = expected.astype(dtype)
    finite = np.isfinite(near)
    assert np.array_equal(found[~finite], near[~finite], equal_nan=True)
    unit = np.spacing(np.abs(near[finite])).astype(np.longdouble)
    worst = float(np.max(np.abs(found[finite] - expected[finite]) / unit))
    assert worst <= (17.3 if (name, dtype) == ("pow", np.float64) else 4.0)


def test_functions_at_their_ends() -> None:
    x, inf = symbol("x.v"), math.inf
    graph = {n: getattr(m, n)(x) for n in ("exp", "expm1", "log1p", "tanh", "sigmoid", "atan", "sqrt", "ceil")}
    found = evaluated({**graph, "cube": x**-3.0}, np.array([-inf, 0.0, inf, math.nan]))
    assert {n: v.tolist()[:3] for n, v in found.items() if n not in ("log1p", "sqrt")} == {
        "exp": [0.0, 1.0, inf], "expm1": [-1.0, 0.0, inf], "tanh": [-1.0, 0.0, 1.0], "sigmoid": [0.0, 0.5, 1.0],
        "atan": [-math.pi / 2, 0.0, math.pi / 2], "ceil": [-inf, 0.0, inf], "cube": [0.0, inf, 0.0],
    }  # fmt: skip
    assert found["log1p"].tolist()[1:3] == found["sqrt"].tolist()[1:3] == [0.0, inf]
    assert all(np.isnan(v[3]) for v in found.values())


def test_literals_keep_their_digits() -> None:
    """Triton makes a literal a float32 where no tensor stands beside it."""
    x = symbol("x.v")
    outputs = {"alone": lift(0.1), "chosen": m.where(x > 0.0, 0.1, 0.7), "beside": x * 0.1, "power": 0.1**x}
    found = evaluated(outputs, np.array([1.0, -1.0]))
    assert found["alone"].tolist() == [0.1, 0.1]
    assert found["chosen"].tolist() == [0.1, 0.7]
    assert found["beside"].tolist() == [0.1, -0.1]
    assert found["power"] == pytest.approx([0.1, 10.0], rel=1e-15)

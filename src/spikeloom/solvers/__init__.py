"""Solvers: how a model's equations are advanced by one time step."""

from ..models.base import NeuronModel
from .base import Solver
from .exact import Exact, ExponentialEuler, is_linear
from .implicit import CrankNicolson, ImplicitEuler
from .off_grid import DormandPrince, Interpolated, Located, OffGrid
from .runge_kutta import RK3, RK4, ForwardEuler, Heun, Midpoint, RungeKutta, Tableau
from .sequential import SequentialEuler
from .stochastic import AddNoise, EulerMaruyama, Milstein

__all__ = [
    "RK3", "RK4", "AddNoise", "CrankNicolson", "DormandPrince", "EulerMaruyama", "Exact", "ExponentialEuler",
    "ForwardEuler", "Heun", "ImplicitEuler", "Interpolated", "Located", "Midpoint", "Milstein", "OffGrid", "RungeKutta",
    "SequentialEuler", "Solver", "Tableau", "default_solver", "is_linear",
]  # fmt: skip


def default_solver(model: NeuronModel) -> Solver:
    """The exact propagator where the model is linear, which analysis finds out; RK4 elsewhere; plus its noise.

    >>> from spikeloom.models import ALIF, HodgkinHuxley
    >>> default_solver(ALIF()), default_solver(HodgkinHuxley())
    (Exact(), RK4())
    """
    solver = Exact() if is_linear(model) else RK4()
    return AddNoise(solver) if model.noise(*model.symbols()) else solver

"""What a neuron model does: resting points, bifurcations, cycles, rates, chaos, spike shapes.

Everything starts from the model's own equations and their traced Jacobian. Results are in the model's units, ms and
Hz, and hold arrays that can be drawn as they are.
"""

from .bifurcations import Bifurcation, BifurcationDiagram, Branch, bifurcations
from .chaos import LyapunovExponent, lyapunov
from .cycles import LimitCycle, limit_cycle, period
from .equilibria import KINDS, Equilibrium, resting_points
from .phases import PhaseResponse, measured_phase_response, phase_response
from .planes import Arrows, Nullclines, arrows, nullclines
from .rates import FICurve, fi_curve
from .shape import SpikeShapes, spike_shape
from .system import AnalysisError

__all__ = [
    "KINDS", "AnalysisError", "Arrows", "Bifurcation", "BifurcationDiagram", "Branch", "Equilibrium", "FICurve",
    "LimitCycle", "LyapunovExponent", "Nullclines", "PhaseResponse", "SpikeShapes", "arrows", "bifurcations",
    "fi_curve", "limit_cycle", "lyapunov", "measured_phase_response", "nullclines", "period", "phase_response",
    "resting_points", "spike_shape",
]  # fmt: skip

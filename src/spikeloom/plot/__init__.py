"""Still pictures: each function draws into a matplotlib ``Figure`` of its own and returns it.

Nothing here touches pyplot or its global state, so the functions work without a display, leave nothing
behind and may be called from any thread. Keep a picture with ``figure.savefig("name.png", dpi=150)``.
"""

from .dynamics import bifurcations, gating, phase_plane
from .learning import confusion, curves
from .networks import raster
from .neurons import TraceLike, fi_curve, trace
from .populations import population_raster, population_rates

__all__ = [
    "TraceLike", "bifurcations", "confusion", "curves", "fi_curve", "gating", "phase_plane", "population_raster",
    "population_rates", "raster", "trace",
]  # fmt: skip

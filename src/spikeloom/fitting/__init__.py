"""Fit neuron models to current-clamp recordings, and score what they predict."""

from .fitter import Fit, fit
from .metrics import apart_from_spikes, coincidences, explained_variance, gamma
from .objective import Loss
from .score import Score, SweepScore, predict, score
from .stages import Method, Progress, Refine, Search, Stage

__all__ = [
    "Fit", "Loss", "Method", "Progress", "Refine", "Score", "Search", "Stage", "SweepScore", "apart_from_spikes",
    "coincidences", "explained_variance", "fit", "gamma", "predict", "score",
]  # fmt: skip

"""Losses and learning rules."""

from .losses import cross_entropy_of_mean, cross_entropy_of_rate, mean_of_cross_entropy

__all__ = ["cross_entropy_of_mean", "cross_entropy_of_rate", "mean_of_cross_entropy"]

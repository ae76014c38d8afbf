"""The contract that every neuron model keeps, as a function that users run on their own models."""

from .case import Case, ContractError, Outcome, run_case
from .contract import check_backend, check_batch, check_case, check_model, check_split
from .finite_differences import check_finite_differences

__all__ = [
    "Case", "ContractError", "Outcome", "check_backend", "check_batch", "check_case", "check_finite_differences",
    "check_model", "check_split", "run_case",
]  # fmt: skip

"""Triton's interpreter on the CPU, for tests of kernels for a GPU."""

from __future__ import annotations

import math

import pytest
import torch


def interpreted(monkeypatch: pytest.MonkeyPatch, op: object) -> None:
    """Kernels run in the interpreter, and outputs that the module ``op`` makes start as NaN."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")

    def poisoned(like: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> torch.Tensor:
        full = torch.empty(shape, dtype=dtype or like.dtype, device=like.device)
        return full.fill_(math.nan) if full.is_floating_point() else full.fill_(255)

    monkeypatch.setattr(op, "empty", poisoned)

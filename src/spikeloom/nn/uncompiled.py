"""Run a neuron layer as it is from inside a compiled net.

What surrounds the kernel (looking up the program, preparing its constants) is plain Python that a compiler can gain
nothing from, and would trace for seconds. This module is imported only while compiling, since the decorator
imports torch's compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``, left alone by torch.compile."""
    return function(*args)


call: Callable[..., Any] = torch.compiler.disable(_call)

"""How generated CPU kernels are compiled: Numba, on plain pointers that do not alias."""

from __future__ import annotations

from typing import Any

from ..lang.dialects.numba_pipeline import KernelCompiler


class NoAlias(KernelCompiler):
    """Numba's pipeline with the promise that pointers do not overlap.

    A kernel with many arrays needs more run-time overlap checks than LLVM is willing to make before it
    vectorises; our buffers are all distinct, so none are needed.
    """

    def define_pipelines(self) -> list[Any]:
        self.state.flags.noalias = True
        return super().define_pipelines()


def options(strict: bool) -> dict[str, Any]:
    """Arguments of ``numba.cfunc`` for every kernel.

    Kernels take C pointers rather than arrays: unpacking and slicing fifteen arrays took most of the compile time.

    ``fastmath=True`` would delete NaN checks and reassociate; contraction alone only fuses multiply and add.
    """
    return {
        "cache": True,
        "error_model": "numpy",
        "fastmath": False if strict else {"contract"},
        "pipeline_class": NoAlias,
    }

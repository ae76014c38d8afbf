"""Numba's compiler with what straight loops over pointers need of it, which takes half of its time.

Left out are the passes for closures, literals, inlined overloads, array expressions and the like: kernels have none.
A function that only kernels call is not wrapped for Python either, and becomes machine code only within them.
"""

# pyright: basic
# Numba's compiler has no types.

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode

from .numba_typing import remembering
from .numba_values import PREFIX

__all__ = ["KernelCompiler"]


class _Part(JITCodeLibrary):
    """Code that is linked into that of kernels, which is where it is optimised."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


class _Lower(Lower):
    """Lowering after which emitted functions, being inlined, need not be kept."""

    def lower(self) -> None:
        super().lower()
        for name in self.module.globals:
            if name.startswith(PREFIX):
                self.library.get_function(name).linkage = "linkonce_odr"


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(NativeLowering):
    _name = "kernel_lowering"

    @property
    def lowering_class(self) -> Any:
        return _Lower


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(_KernelLowering):
    """Lowering of a function that only kernels call: Numba knows it by a key instead of by what Python would call."""

    _name = "part_lowering"

    def run_pass(self, state: Any) -> bool:
        flags = state.flags
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
        state.library = _Part(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        lowered, key = state["cr"], f"{state.func_id.func_qualname} is called by kernels only".format
        state.targetctx.insert_user_function(key, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=key)
        return True


class KernelCompiler(CompilerBase):
    """For ``numba.cfunc(pipeline_class=)``, and for ``numba.njit`` of what only such functions call."""

    def define_pipelines(self) -> list[Any]:
        self.state.typingctx = remembering(self.state.typingctx)
        passes = PassManager("kernel")
        lowering = _KernelLowering if self.state.flags.no_compile else _PartLowering  # cfunc sets the flag
        for step in (
            TranslateByteCode, FixupArgs, IRProcessing, ReconstructSSA, NopythonTypeInference, PreLowerStripPhis,
            IRLegalization, AnnotateTypes, lowering, NoPythonBackend,
        ):  # fmt: skip
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]

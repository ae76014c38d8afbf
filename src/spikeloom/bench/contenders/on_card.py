"""A contender that uses torch, on a CUDA device: calls end when the device has finished."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def recorded(call: Callable[[], object]) -> Any:
    """``call`` as a CUDA graph, after three calls beside the default stream, as torch advises: all is then compiled."""
    cuda: Any = importlib.import_module("torch").cuda
    stream = cuda.Stream()
    stream.wait_stream(cuda.current_stream())
    with cuda.stream(stream):
        for _ in range(3):
            call()
    cuda.current_stream().wait_stream(stream)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        call()
    return graph


class OnCard:
    """Has the methods of a :class:`training.Frame` that lies on a device."""

    def __init__(self, frame: Any) -> None:
        self.frame: Any = frame
        self.torch: Any = importlib.import_module("torch")

    def call(self) -> None:
        """As a script does it: one launch after another."""
        self.frame.call()
        self.torch.cuda.synchronize()

    def fresh(self) -> None:
        self.frame.fresh()
        self.torch.cuda.empty_cache()

    def of_layers(self) -> list[Any]:
        return self.frame.of_layers()

    def compared(self) -> dict[str, Any]:
        return self.frame.compared()

    def reset(self) -> dict[str, float]:
        """Count the peak of the device's memory from now on; in MiB."""
        self.torch.cuda.reset_peak_memory_stats()
        return {"resident": self.torch.cuda.memory_allocated() / 2**20}

    def memory(self) -> dict[str, float]:
        """The peak, in MiB."""
        return {"peak": self.torch.cuda.max_memory_allocated() / 2**20}


class Recorded(OnCard):
    """Calls are recorded once, in a CUDA graph, and played again: what is left is what the device itself takes."""

    def __init__(self, frame: Any) -> None:
        super().__init__(frame)
        self.graph: Any = None

    def call(self) -> None:
        if self.graph is None:
            self.graph = recorded(self.frame.call)
        self.graph.replay()
        self.torch.cuda.synchronize()

    def fresh(self) -> None:
        self.graph = None
        super().fresh()

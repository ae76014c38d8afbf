"""A layer of neurons."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import NonFiniteError, ParameterError, did_you_mean
from ..kernels.program import program
from ..kernels.scan.scan import checked_dt, scan
from ..models.base import NeuronModel
from ..solvers import Solver
from ..surrogates import ATan, Surrogate
from .layer import Layer, checked_sequence
from .ranges import Range
from .recording import recorders_of
from .state import State


class Neuron(Layer):
    """A layer of ``model`` neurons, one per element of the input's feature axes.

    ``x`` ``[T, B, ...]`` arrives as jumps of the membrane (``into="v"``), or is held over each step where ``into``
    names an input (``into="i"``). The output is spikes, or the membrane of a model that never fires.

    ``learn`` names parameters to train; their shape follows the value in the model: a number is shared by the
    layer, an array has one value per neuron (or channel, shaped to broadcast). A learned parameter stays within
    its declared range. ``dt`` is the step in ms.

    Raises ParameterError for an unknown or unlearnable parameter; errors of :func:`spikeloom.scan` at calls.

    >>> import spikeloom as sl
    >>> layer = Neuron(sl.LIF(tau=10.0), learn=("tau",))
    >>> y, state = layer(torch.full((3, 1, 2), 0.6))
    >>> y[:, 0, 0].tolist(), sorted(state)
    ([0.0, 1.0, 0.0], ['v'])
    """

    def __init__(
        self, model: NeuronModel, *, learn: Sequence[str] = (), surrogate: Surrogate | None = None,
        solver: Solver | None = None, dt: float = 1.0, into: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(model, NeuronModel):
            raise ParameterError("a layer of neurons", got=repr(model), expected="a NeuronModel such as sl.LIF()")
        self.model, self.solver, self.dt = model, solver, checked_dt(dt)
        self.surrogate = surrogate or ATan()
        self.into = into or model.membrane
        program(model, solver, self.surrogate, (self.into,))  # what cannot run is refused here, not at the first call
        self.raw = torch.nn.ParameterDict()
        for name in (learn,) if isinstance(learn, str) else learn:
            if name not in model.params:
                what = f"{type(model).__name__} has no parameter {name!r} to learn"
                raise ParameterError(what, mend=did_you_mean(name, model.params))
            value = torch.as_tensor(getattr(model, name), dtype=torch.float64)
            raw = Range(model.params[name]).to_raw(value).to(torch.get_default_dtype())
            self.raw[name] = torch.nn.Parameter(raw)

    def learned(self) -> dict[str, torch.Tensor]:
        """Present values of the learned parameters, in their declared units."""
        return {name: Range(self.model.params[name]).to_value(raw) for name, raw in self.raw.items()}

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        checked_sequence(x, f"Neuron({type(self.model).__name__})")
        watching = recorders_of(self)
        wanted = [n for r in watching for n in r.states if n in self.model.states]
        readout = program(self.model, self.solver, self.surrogate, (self.into,)).fires is False
        names = list(dict[str, None].fromkeys([*([self.model.membrane] if readout else []), *wanted]))
        try:
            result = scan(
                self.model, {self.into: x}, state, learned=self.learned(), solver=self.solver,
                surrogate=self.surrogate, dt=self.dt, record=names,
            )  # fmt: skip
        except NonFiniteError as error:
            raise NonFiniteError(f"in layer {self}: {error.what}", got=error.got, mend=error.mend) from None
        for recorder in watching:
            recorder.note(self, result.spikes, {n: result.states[n] for n in recorder.states if n in result.states})
        output = result.states[self.model.membrane] if result.spikes is None else result.spikes
        return output, State(result.final)

    def extra_repr(self) -> str:
        learned = f", learn={tuple(self.raw)}" if len(self.raw) else ""
        return f"{self.model!r}, into={self.into!r}, dt={self.dt:g} ms{learned}"

"""A page of the documentation about one model, written from the model itself."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..models.base import NeuronModel
from ..models.declare import Option, Param
from ..models.equations import equations
from ..models.presets import Preset
from ..stimuli import Stimulus
from .labels import pretty_unit

_GENERATED = "<!-- Written by `python -m spikeloom.cli.model_pages docs/models`; change the model, not this page. -->"

CONTRACT = "test_every_model.py"


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What a page says about a class beyond the class itself.

    ``model`` is what its equations are read from: one of its own, or a neuron that it is put into or around. ``slug``
    is the name of the page and of its picture, ``guard`` the test file that checks it, ``use`` the arguments of
    ``sl.simulate`` that show it, ``picture`` what these give in words, ``command`` the model's name on the command
    line (or "").
    """

    kind: type
    model: NeuronModel
    slug: str
    summary: str
    guard: str
    use: str
    picture: str
    command: str = ""

    @property
    def name(self) -> str:
        """The class's name."""
        return self.kind.__name__

    @property
    def made(self) -> str:
        """The Python text that makes the model.

        >>> from spikeloom.models import LIF, Refractory
        >>> ModelFacts(Refractory, Refractory(LIF(), t_ref=3.0), "", "", "", "", "").made
        'sl.Refractory(sl.LIF(), t_ref=3.0)'
        """
        return re.sub(r"\b([A-Z]\w*)\(", r"sl.\1(", repr(self.model))

    @property
    def composed(self) -> bool:
        """Whether the class is a part of what is shown."""
        return not self.command


def model_page(facts: ModelFacts) -> str:
    r"""The page as Markdown: text, equations, picture, states, parameters, presets, the test that guards it.

    >>> from spikeloom.models import LIF
    >>> page = model_page(ModelFacts(LIF, LIF(), "lif", "leaky", "test_lif.py", "current=2", "At 2 pA", "lif"))
    >>> page.splitlines()[0], r"\tau\,\frac{dv}{dt}" in page, "| `tau` | 20 | ms | > 0 |" in page
    ('# LIF', True, True)
    """
    model, kind = facts.model, facts.kind
    around = f", here those of\n`{facts.made}`" if facts.composed else ""
    blocks = [
        f"# {facts.name}",
        _GENERATED,
        prose(inspect.getdoc(kind) or ""),
        f"## Equations\n\nTraced from the model's own methods{around}:",
        *(f"```math\n{equation}\n```" for equation in equations(model)),
        f"![{facts.name} against time]({facts.slug}.svg)",
        f"{facts.picture}; spikes are marked above, what goes in is drawn below.",
        _states(model),
        _parameters(facts),
        _options(kind),
        _presets(kind, facts.command),
        _use(facts),
        f"## Checked by\n\n{_link(facts.guard)}, and the contract of all models in {_link(CONTRACT)}.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def index_page(pages: Sequence[ModelFacts]) -> str:
    """The table of all pages."""
    rows = [
        (f"[{p.name}]({p.slug}.md)", p.summary, ", ".join(p.model.states), str(len(_presets_of(p.kind)) or ""))
        for p in pages
    ]
    return "\n\n".join(
        [
            "# Models",
            _GENERATED,
            "Each page is written from the model itself: its equations as traced, parameters, presets, a picture. "
            "`spikeloom neuron gallery` draws them all.",
            _table(("model", "", "states", "presets"), rows),
        ]
    ) + "\n"  # fmt: skip


def _link(guard: str) -> str:
    return f"[`tests/{guard}`](../../tests/{guard})"


def prose(text: str) -> str:
    """A docstring as Markdown, without its examples.

    >>> print(prose("Uses :class:`~a.b.RK4` with ``dt``::\\n\\n    v = 1\\n\\n>>> 1 + 1\\n2"))
    Uses `RK4` with `dt`:
    <BLANKLINE>
    ```text
    v = 1
    ```
    """
    paragraphs = re.split(r"\n\s*\n", text.split("\n>>>")[0].rstrip())
    found = []
    for paragraph in paragraphs:
        plain = paragraph.startswith(("    ", "=="))
        found.append(f"```text\n{inspect.cleandoc(paragraph)}\n```" if plain else _inline(paragraph))
    return "\n\n".join(found)


def _inline(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`]+)`", lambda m: f"`{m[1].rpartition('.')[2]}`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(r"::(?=\s*$)", ":", text)


def _states(model: NeuronModel) -> str:
    start = model.initial_values()
    rows = [(f"`{name}`", _number(start[name]), _unit(state.unit)) for name, state in model.states.items()]
    table = _table(("state", "starts at", "unit"), rows)
    inputs = ", ".join(f"`{name}` ({_unit(held.unit)})" for name, held in model.inputs.items())
    return f"## States\n\n{table}" + (f"\n\nInput: {inputs}." if inputs else "")


def _parameters(facts: ModelFacts) -> str:
    """Those of the model; of a part only what it declares itself."""
    declared: Mapping[str, Param] = facts.kind.params if facts.composed else facts.model.params  # type: ignore[attr-defined]
    rows = [(f"`{n}`", _number(_default(facts, n, p)), _unit(p.unit), _bounds(p)) for n, p in declared.items()]
    return f"## Parameters\n\n{_table(('parameter', 'default', 'unit', 'range'), rows)}" if rows else ""


def _default(facts: ModelFacts, name: str, declared: Param) -> object:
    return declared.default if facts.composed else getattr(facts.model, name)


def _options(kind: type) -> str:
    options: Mapping[str, Option] = getattr(kind, "options", {})
    rows = [(f"`{n}`", ", ".join(f"`{c}`" for c in o.choices), f"`{o.default}`") for n, o in options.items()]
    return f"## Options\n\n{_table(('option', 'choices', 'default'), rows)}" if rows else ""


def _presets_of(kind: type) -> Mapping[str, Preset]:
    return getattr(kind, "presets", {})


def _presets(kind: type, command: str) -> str:
    rows = [
        (f"`{name}`", p.summary, _values(p), _current(p.current), f"{p.duration:g} ms", p.source)
        for name, p in _presets_of(kind).items()
    ]
    if not rows:
        return ""
    table = _table(("preset", "what it shows", "parameters", "current", "for", "source"), rows)
    hint = f"\n\nOn the command line: `spikeloom neuron {command} --preset NAME`." if command else ""
    return f"## Presets\n\n{table}{hint}"


def _values(preset: Preset) -> str:
    values = (f"`{n}` {_number(v) if not isinstance(v, str) else v}" for n, v in preset.values.items())
    return ", ".join(values) or "the defaults"


def _current(current: float | Stimulus) -> str:
    return f"`{current}`" if isinstance(current, Stimulus) else _number(current)


def _use(facts: ModelFacts) -> str:
    preset = next(iter(_presets_of(facts.kind)), "")
    other = f"  # or sl.{facts.name}.preset({preset!r})" if preset else ""
    lines = [
        "import spikeloom as sl",
        "",
        f"model = {facts.made}{other}",
        f"trace = sl.simulate(model, {facts.use})",
        "sl.plot.trace(trace)",
    ]
    return "\n".join(["## Use", "", "```python no-run", *lines, "```"])


def _number(value: object) -> str:
    if np.ndim(value):  # type: ignore[arg-type]
        return f"{np.size(value)} values"  # type: ignore[arg-type]
    return f"{float(value):.8g}".replace("-", "−")  # type: ignore[arg-type]


def _unit(unit: object) -> str:
    return pretty_unit(unit) or "1"


def _bounds(declared: Param) -> str:
    equal = "=" if declared.inclusive else ""
    parts = [f">{equal} {_number(declared.low)}"] if declared.low is not None else []
    parts += [f"<{equal} {_number(declared.high)}"] if declared.high is not None else []
    return " and ".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


__all__ = ["CONTRACT", "ModelFacts", "index_page", "model_page", "prose"]

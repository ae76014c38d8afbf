"""The pages of docs/models say what the models say: written by a command, and checked to be up to date."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import spikeloom as sl
from spikeloom import models
from spikeloom.cli.model_pages import main, pages, write_pages
from spikeloom.errors import FileError
from spikeloom.models.declared import Declared
from spikeloom.models.equations import equations
from spikeloom.report.model_page import CONTRACT, ModelFacts, index_page, model_page, prose

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "models"
PAGES = pages()


@pytest.mark.parametrize("facts", PAGES, ids=lambda facts: facts.name)
def test_a_page_is_up_to_date(facts):
    stored = (FOLDER / f"{facts.slug}.md").read_text(encoding="utf-8")
    assert stored == model_page(facts), "Run `python -m spikeloom.cli.model_pages docs/models`."


def test_the_index_is_up_to_date_and_nothing_else_lies_there():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == index_page(PAGES)
    wanted = {f"{facts.slug}.{kind}" for facts in PAGES for kind in ("md", "svg")} | {"README.md"}
    assert {path.name for path in FOLDER.iterdir()} == wanted


def test_every_public_model_has_a_page():
    public = {value for name in models.__all__ if isinstance(value := getattr(models, name), type)}
    bases = {models.NeuronModel, models.Membrane, models.Channel}
    assert {facts.kind for facts in PAGES} == {kind for kind in public if issubclass(kind, Declared)} - bases


@pytest.mark.parametrize("facts", PAGES, ids=lambda facts: facts.name)
def test_a_picture_is_small_whole_and_safe(facts):
    text = (FOLDER / f"{facts.slug}.svg").read_bytes()
    assert len(text) < 60_000
    root = ElementTree.fromstring(text)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "rect", "path", "text"}
    assert len(root.findall(".//{*}path")) > 3


@pytest.mark.parametrize("facts", PAGES, ids=lambda facts: facts.name)
def test_the_tests_that_guard_a_model_name_it(facts):
    guards = [ROOT / "tests" / name for name in (facts.guard, CONTRACT)]
    assert all(guard.is_file() for guard in guards), f"{facts.name}: see _GUARDS in cli/model_pages.py"
    text = "".join(guard.read_text(encoding="utf-8") for guard in guards)
    assert re.search(rf"\b{facts.name}\b", text), f"neither {facts.guard} nor {CONTRACT} names {facts.name}"
    assert all(f"(../../tests/{guard.name})" in model_page(facts) for guard in guards)


@pytest.mark.parametrize("facts", PAGES, ids=lambda facts: facts.name)
def test_a_page_says_where_the_model_comes_from(facts):
    text = model_page(facts)
    if facts.command:
        assert re.search(r"\b(19|20)\d\d\b", text) or facts.name in ("IF", "LI"), "no source with a year"
    for name, declared in facts.kind.params.items():
        assert f"| `{name}` |" in text, f"{name} ({declared.unit}) is missing"
    for name, preset in getattr(facts.kind, "presets", {}).items():
        assert f"| `{name}` | {preset.summary} |" in text
        assert preset.source.replace("|", r"\|") in text
    assert all(f"```math\n{equation}\n```" in text for equation in equations(facts.model))


@pytest.mark.parametrize("facts", PAGES, ids=lambda facts: facts.name)
def test_the_text_that_makes_a_model_makes_it(facts):
    made = eval(facts.made, {"sl": sl})
    assert made == facts.model
    assert made.structure() == facts.model.structure()
    code = re.search(r"```python no-run\n(.*?)sl.plot", model_page(facts), re.S)
    assert code is not None
    compile(code[1], facts.name, "exec")


def test_the_code_of_a_page_runs():
    facts = next(facts for facts in PAGES if facts.name == "Exponential")
    code = re.search(r"```python no-run\n(.*?)```", model_page(facts), re.S)
    assert code is not None
    names: dict[str, object] = {}
    exec(code[1], names)
    assert names["trace"]["v"].max() > -70.0


def test_units_defaults_and_bounds_are_those_declared():
    class Bounded(sl.NeuronModel):
        """A test.

        >>> Bounded()
        """

        tau = sl.param(-5e-05, sl.ms, low=-1.0, high=2.0)
        g = sl.param(3.0, 1 / sl.ms, low=0.0, inclusive=True)
        kind = sl.option("one", "two|three")
        v = sl.state(-65.0, sl.mV)
        i = sl.input(sl.pA)

        def derivative(self, s, x):
            return {"v": -s.v * self.g + 0.0 * (x.i / x.i) * s.v / self.tau}

    facts = ModelFacts(Bounded, Bounded(), "bounded", "", "test_x.py", "current=1", "A test", "bounded")
    text = model_page(facts)
    assert "| `tau` | −5e−05 | ms | > −1 and < 2 |" in text
    assert "| `g` | 3 | ms⁻¹ | >= 0 |" in text
    assert r"| `kind` | `one`, `two\|three` | `one` |" in text
    assert "| `v` | −65 | mV |" in text
    assert "Input: `i` (pA)." in text
    assert ">>>" not in text


def test_docstrings_become_markdown():
    text = "One ``x`` and :meth:`~a.b.c`::\n\n    dv/dt = 1\n    du/dt = 2\n\nMore.\n\n==  ==\na   b\n==  =="
    assert (
        prose(text)
        == "One `x` and `c`:\n\n```text\ndv/dt = 1\ndu/dt = 2\n```\n\nMore.\n\n```text\n==  ==\na   b\n==  ==\n```"
    )


def test_the_command_writes_a_folder_that_equals_the_one_kept(tmp_path, capsys):
    assert main([str(tmp_path / "new" / "models")]) == 0
    written = {path.name: path for path in (tmp_path / "new" / "models").iterdir()}
    assert set(written) == {path.name for path in FOLDER.iterdir()}
    for name, path in written.items():
        if name.endswith(".md"):
            assert path.read_bytes() == (FOLDER / name).read_bytes()
    assert f"{len(written)} files" in capsys.readouterr().out


def test_what_the_command_refuses(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([]) == 2
    assert "the folder to write to: got 0 arguments, expected one" in capsys.readouterr().err
    assert main([str(tmp_path / "file" / "models")]) == 2
    assert "cannot write" in capsys.readouterr().err
    with pytest.raises(FileError):
        write_pages(tmp_path / "file")

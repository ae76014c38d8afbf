"""The page of the robustness curves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.errors import FileError
from spikeloom.report.robustness import as_extra, charts, headline, losses, write_robustness_page
from spikeloom.report.robustness_curves import Line, Panel, Robustness, stored_robustness
from spikeloom.report.training import TrainingReport, write_training_report
from spikeloom.storage.files import to_json
from spikeloom.train.robustness import Curve


def stored(*, twin: bool = True, repeats: int = 2) -> dict[str, Any]:
    """A robustness.json as it is written, with made-up curves."""

    def curve(slope: float) -> Curve:
        rows = tuple(tuple(0.9 - slope * level + 0.01 * level * r for r in range(repeats)) for level in (0.0, 0.5, 1.0))
        return Curve("input noise", "sd", (0.0, 0.5, 1.0), rows, rows)

    jitter = Curve("spike jitter", "steps", (0.0, 1.0), ((0.9,) * repeats, (0.8,) * repeats), ((0.1,) * repeats,) * 2)
    none = Curve("spike jitter", "steps", (0.0, 1.0), (), (), "it has no spikes to move")
    curves = []
    for spiking, ann in ((curve(0.1), curve(0.4)), (jitter, none)):
        curves.append({"title": spiking.title, "unit": spiking.unit, "levels": spiking.levels})
        curves[-1] |= {"spiking": spiking.plain()} | ({"ann": ann.plain()} if twin else {})
    facts = {"split": "test", "split_size": 1000, "images": 500, "repeats": repeats, "seeds": [0], "note": ""}
    return {"run": "a <b>run</b>", "chance": 0.1, "curves": curves} | facts


def test_a_page_in_one_file(tmp_path: Path) -> None:
    write_robustness_page(tmp_path / "robustness.html", Robustness.from_json(stored()))
    text = (tmp_path / "robustness.html").read_text(encoding="utf-8")
    assert "</html>" in text
    assert "default-src 'none'" in text
    visible = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "http" not in visible.replace("http-equiv", "")
    assert "a &lt;b&gt;run" in visible
    assert "Input noise" in visible
    assert "Not for the ANN twin: it has no spikes to move." in visible
    assert "500 of 1,000 (test)" in visible
    assert "The spiking network holds better under input noise" in visible


def test_a_page_without_a_twin(tmp_path: Path) -> None:
    robustness = Robustness.from_json(stored(twin=False))
    write_robustness_page(tmp_path / "robustness.html", robustness)
    text = (tmp_path / "robustness.html").read_text(encoding="utf-8")
    assert "ANN" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert (
        headline(robustness)
        == "The network loses most under spike jitter: 10.0 points, averaged over the levels tried."
    )


def test_a_single_repeat_tells_nothing_apart() -> None:
    robustness = Robustness.from_json(stored(repeats=1))
    assert headline(robustness) == "A single repeat cannot tell them apart under input noise."
    assert "±" not in losses(robustness)


def test_the_loss_is_the_mean_over_the_levels() -> None:
    line = Line(np.array([[0.9, 0.8], [0.7, 0.7], [0.5, 0.3]]))
    assert line.lost == pytest.approx([0.3, 0.3])
    assert line.mean == pytest.approx([0.85, 0.7, 0.4])
    assert line.sd == pytest.approx([0.1 / 2**0.5, 0.0, 0.2 / 2**0.5])


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ([0.10, 0.11, 0.12], "The spiking network holds better under x."),
        ([-0.10, -0.11, -0.12], "The ANN twin holds better under x."),
        ([0.10, -0.02, 0.01], "No clear difference under x."),
        ([0.0, 0.0, 0.0], "No clear difference under x."),
    ],
)
def test_a_network_is_called_better_only_beyond_the_spread(difference: list[float], words: str) -> None:
    spiking = Line(np.array([[0.9] * 3, [0.5] * 3]))
    ann = Line(np.array([[0.9] * 3, [0.5 - d for d in difference]]))
    panel = Panel("x", "", np.array([0.0, 1.0]), spiking, ann)
    assert headline(Robustness("r", 0.1, {}, [panel])) == words


def test_a_section_of_another_page() -> None:
    robustness = Robustness.from_json(stored())
    assert list(charts(robustness)) == ["robustness0", "robustness1"]
    made = as_extra(robustness).section({"robustness0": "<p id=here></p>"})
    assert made.anchor == "robustness"
    assert "<p id=here></p>" in made.body


def test_the_report_of_a_training_takes_it_in(tmp_path: Path) -> None:
    (tmp_path / "robustness.json").write_bytes(to_json(stored()))
    found = stored_robustness(tmp_path)
    assert found is not None
    shapes = {"confusion": np.eye(2), "class_names": ["0", "1"], "image": np.eye(4), "label": "0", "prediction": "0"}
    report = TrainingReport("a", {}, {}, {"train loss": [1.0]}, layers=[], dt=1.0, extras=[as_extra(found)], **shapes)
    write_training_report(tmp_path / "report.html", report)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count('<section id="robustness">') == 1
    assert text.index("Learning and mistakes") < text.index("Accuracy lost") < text.index("How it was made")
    assert "table.losses" in text


def test_no_curves_and_broken_ones(tmp_path: Path) -> None:
    assert stored_robustness(tmp_path) is None
    for text in ("", "{", "[]", "{}", "[" * 100_000):
        (tmp_path / "robustness.json").write_text(text)
        with pytest.raises(FileError, match=r"robustness\.json"):
            stored_robustness(tmp_path)


@pytest.mark.parametrize("key", ["run", "chance", "curves", "images", "seeds"])
def test_a_file_with_missing_parts_is_refused(key: str) -> None:
    broken = stored()
    del broken[key]
    with pytest.raises(FileError, match="not complete"):
        Robustness.from_json(broken)


@pytest.mark.parametrize("wrong", [None, "x", [], [[]], [[0.5], "x"]])
def test_a_file_with_wrong_values_is_refused(wrong: object) -> None:
    broken = stored()
    broken["curves"][0]["spiking"] = {"accuracy": wrong}
    with pytest.raises(FileError, match="spikeloom evaluate"):
        Robustness.from_json(broken)

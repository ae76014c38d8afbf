"""Every Python block of the documentation runs, in order, in one namespace per file.

Blocks marked ``python no-run`` are left out, and so is every other language.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
KNOWN = {"python", "python no-run", "bash", "text", "console", "json", "math", "toml", "yaml", ""}


def blocks(text: str) -> list[tuple[int, str, str]]:
    """(first line, what the fence says, code) of each fenced block."""
    found = []
    for match in FENCE.finditer(text):
        cut = len(match["indent"])
        code = "\n".join(line[cut:] for line in match["code"].split("\n"))
        found.append((text.count("\n", 0, match.start("code")), match["info"].strip(), code))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    namespace: dict[str, object] = {"__name__": "page"}
    for line, info, code in blocks(page.read_text(encoding="utf-8")):
        if info == "python":
            exec(compile("\n" * line + code, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_page_is_well_formed(page: Path):
    """An odd number of fences, or a misspelt language, would silently take blocks out of the test."""
    text = page.read_text(encoding="utf-8")
    found = blocks(text)
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(found)
    assert {info for _, info, _ in found} <= KNOWN


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target


def test_the_extraction_finds_blocks():
    text = "a\n```python\nx = 1\n```\n\n  ```python no-run\n  y\n  ```\n```bash\nls\n```\n"
    assert blocks(text) == [(2, "python", "x = 1\n"), (6, "python no-run", "y\n"), (9, "bash", "ls\n")]


def test_the_guides_are_among_the_pages():
    runnable = {page.name: sum(info == "python" for _, info, _ in blocks(page.read_text())) for page in PAGES}
    for name, least in (("coding.md", 8), ("migrating.md", 9), ("first-network.md", 3), ("your-own-neuron.md", 5)):
        assert runnable[name] >= least, name

"""The architecture of ARCHITECTURE.md, enforced: layers, imports, budgets, what may be imported where."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import spikeloom

ROOT = Path(spikeloom.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Longest prefix wins.
LAYERS = {
    "errors": 0, "units": 0, "spikes": 0, "stimuli": 0,
    "lang": 1,
    "models": 2, "solvers": 2, "surrogates": 2, "plasticity": 2,
    "kernels": 3, "storage": 3,
    "nn": 4, "sim": 4,
    "analyse": 5,
    "coding": 5, "learn": 5, "nets": 5, "data": 5, "simulation": 5, "located": 5, "energy": 5, "hardware": 5, "nir": 5,
    "experiments": 5,
    "train": 6, "report": 6, "recipes": 6, "networks": 6, "cli": 6, "plot": 6, "check": 6, "fitting": 6, "bench": 6,
    "__main__": 6,
}  # fmt: skip
# Within layer 2: models know no solver and no surrogate.
WITHIN = {"models": 0, "surrogates": 0, "solvers": 1, "plasticity": 1}
HEAVY = {"torch": 3, "numba": 1, "matplotlib": 6, "bokeh": 6, "sklearn": 5, "tyro": 6, "rich": 6}
LONGEST_FILE, LONGEST_FUNCTION, MOST_ARGUMENTS = 400, 60, 8


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part_of(module: str) -> str:
    return module.split(".")[0]


def trees() -> dict[str, ast.Module]:
    return {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, absolute, with the imported names where they are modules."""
    package = list(path.relative_to(ROOT).parent.parts)
    known = {name_of(p) for p in FILES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "spikeloom"):
            base = package[: len(package) - node.level + 1] if node.level else []
            tail = (node.module or "").split(".") if node.level else (node.module or "").split(".")[1:]
            module = ".".join([*base, *(p for p in tail if p)])
            for alias in node.names:
                inner = f"{module}.{alias.name}" if module else alias.name
                found.add(inner if inner in known else module)
    return found - {""}


def test_every_module_has_a_layer() -> None:
    assert {part_of(name_of(p)) for p in FILES} - {"__init__", ""} <= set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_downward(path: Path) -> None:
    own = name_of(path)
    if own == "__init__":
        return  # the lazy front door names everything and imports nothing at run time
    part = part_of(own)
    for other in imports(path):
        target = part_of(other)
        if target == part:
            continue
        assert LAYERS[target] <= LAYERS[part], f"{own} (L{LAYERS[part]}) imports {other} (L{LAYERS[target]})"
        if LAYERS[target] == LAYERS[part] == 2:
            assert WITHIN[target] < WITHIN[part], f"{own} imports {other}"
        assert {part, target} != {"nn", "sim"}, f"{own} imports {other}: nn and sim never import each other"


def test_no_import_cycle() -> None:
    graph = {name_of(p): imports(p) for p in FILES if name_of(p) != "__init__"}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in graph.get(name, ()):
                # A package's __init__ gathers its modules; a module may import a sibling through it.
                if other != name and not name.startswith(other + "."):
                    visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_libraries_stay_in_their_layers(path: Path) -> None:
    own = name_of(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for library in (n.split(".")[0] for n in names):
            if library in HEAVY and own != "__init__":
                assert LAYERS[part_of(own)] >= HEAVY[library], f"{own} imports {library}"
            if library == "triton":
                assert path.name == "gpu.py", f"{own} imports triton"
            assert library not in ("pickle", "dill", "joblib", "cloudpickle"), f"{own} imports {library}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_budgets(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE, f"{path.name} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), "star import"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"
            if node.name == "__init__":
                count = len(node.args.args) + len(node.args.kwonlyargs) - 1
                assert count < MOST_ARGUMENTS, f"a constructor has {count} arguments"


def test_no_machine_paths_and_no_leftovers() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for word in ("TODO", "FIXME", "XXX", "HACK", "NotImplementedError"):
            assert word not in text, f"{path.name}: {word}"


def test_import_is_lazy() -> None:
    code = (
        "import sys; import spikeloom; heavy = ('torch', 'numba', 'numpy', 'triton', 'matplotlib', 'bokeh', 'scipy');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_imports_without_triton_or_a_gpu() -> None:
    code = (
        "import sys; sys.modules['triton'] = None; import torch, spikeloom as sl;"
        "y, _ = sl.nn.Neuron(sl.LIF())(torch.ones(2, 1, 1)); print(sl.last_kernels())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['scan/cpu/LIF/forward']"


def test_public_names_exist() -> None:
    for name in spikeloom.__all__:
        assert getattr(spikeloom, name) is not None
    with pytest.raises(AttributeError, match="Did you mean LIF"):
        spikeloom.LIFF  # noqa: B018


def test_no_public_name_is_hidden_by_a_module_of_that_name() -> None:
    # Importing spikeloom.simulate as a module would put the module in the place of the function sl.simulate.
    modules = {m.name for m in pkgutil.iter_modules(spikeloom.__path__)}
    found = {name for name in spikeloom.__all__ if name in modules}
    assert all(spikeloom._MODULES.get(name) == name for name in found)

"""The kernel cache: content-addressed, verified, rebuilt when damaged, safe under concurrent processes."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
import numba
from numba.types import CPointer, float64, int64, void
from spikeloom.kernels.compiler import options

@numba.cfunc(void(int64, CPointer(float64)), **options(strict=True))
def forward(size, x):
    for m in range(size):
        x[m] = x[m] * 2.0 + {constant}
"""
SCRIPT = """
import ctypes, sys, warnings
import numpy as np
from spikeloom.kernels.cache import load
warnings.simplefilter("always")
module = load({kernel!r})
x = np.arange(5.0)
ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(module.forward.address)(5, x.ctypes.data)
print(x.tolist(), sys.modules.get("torch"))
"""


def command(constant: float = 1.0) -> list[str]:
    return [sys.executable, "-c", SCRIPT.format(kernel=KERNEL.format(constant=constant))]


def run(cache: Path, constant: float = 1.0) -> tuple[str, str]:
    """A fresh process that uses one kernel; its output and what it said."""
    environment = {**os.environ, "SPIKELOOM_CACHE": str(cache)}
    done = subprocess.run(command(constant), capture_output=True, text=True, env=environment, check=True)
    return done.stdout, done.stderr


def folders(cache: Path) -> list[Path]:
    return sorted(p for p in cache.iterdir() if p.is_dir())


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    cache = tmp_path_factory.mktemp("kernels")
    output, said = run(cache)
    assert said == ""
    return cache, output


def test_one_readable_folder_per_kernel(filled: tuple[Path, str]) -> None:
    cache, output = filled
    (folder,) = folders(cache)
    source = (folder / "kernel.py").read_text()
    assert "def forward(" in source
    assert set(json.loads((folder / "manifest.json").read_text())) > {"kernel.py"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert output == "[1.0, 3.0, 5.0, 7.0, 9.0] None\n"


def test_a_second_process_changes_nothing(filled: tuple[Path, str]) -> None:
    cache, output = filled
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    assert run(cache) == (output, "")
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()} == before


def test_another_source_is_another_kernel(tmp_path: Path) -> None:
    assert run(tmp_path, 1.0)[0] != run(tmp_path, 2.0)[0]
    assert len(folders(tmp_path)) == 2


def _flip_compiled(folder: Path) -> None:
    victim = next(folder.rglob("*.nbc"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))


def _truncate_index(folder: Path) -> None:
    victim = next(folder.rglob("*.nbi"))
    victim.write_bytes(victim.read_bytes()[:10])


def _edit_source(folder: Path) -> None:
    victim = folder / "kernel.py"
    victim.write_text(victim.read_text() + "\nraise SystemExit('this must never run')\n")


def _plant_a_file(folder: Path) -> None:
    (folder / "__pycache__" / "planted.nbc").write_bytes(b"x")


def _break_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


DAMAGE = [_flip_compiled, _truncate_index, _edit_source, _plant_a_file, _break_the_manifest]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda f: f.__name__)
def test_damage_is_noticed_said_and_mended(damage, filled: tuple[Path, str]) -> None:
    cache, expected = filled
    (folder,) = folders(cache)
    damage(folder)
    output, said = run(cache)
    assert output == expected
    assert "the kernel is built again" in said
    output, said = run(cache)
    assert (output, said) == (expected, "")


def test_a_hand_made_manifest_does_not_make_foreign_source_run(filled: tuple[Path, str]) -> None:
    """Even with matching hashes, what runs is the text we generate; the file is only compared with it."""
    import hashlib

    cache, expected = filled
    (folder,) = folders(cache)
    _edit_source(folder)
    hashes = json.loads((folder / "manifest.json").read_text())
    hashes["kernel.py"] = hashlib.sha256((folder / "kernel.py").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(hashes))
    output, said = run(cache)
    assert output == expected
    assert "another kernel's source" in said


def test_concurrent_processes_share_a_cold_cache(tmp_path: Path) -> None:
    environment = {**os.environ, "SPIKELOOM_CACHE": str(tmp_path)}
    children = [
        subprocess.Popen(command(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    results = [child.communicate(timeout=120) for child in children]
    assert len({out for out, _ in results}) == 1
    assert all(err == b"" for _, err in results)
    assert len(folders(tmp_path)) == 1


def test_an_unusable_cache_is_said_and_worked_around(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    output, said = run(blocked / "kernels")
    assert "kernel cache not usable" in said
    assert output

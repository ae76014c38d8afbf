"""The folder of generated kernels: content-addressed, readable, owner-only, verified before use.

Each kernel has a folder named by the hash of everything that takes part in it: its source, the elementary
functions it calls, Numba, llvmlite, Python and the processor. It holds ``kernel.py``, Numba's compiled files and
``manifest.json`` with their SHA-256. Folders are made aside and renamed, so that concurrent processes never see
half of one. ``SPIKELOOM_CACHE`` names another place.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import json
import linecache
import os
import platform
import shutil
import stat
import sys
import tempfile
import types
import warnings
from collections.abc import Generator
from pathlib import Path

_SOURCE, _MANIFEST = "kernel.py", "manifest.json"


def cache_root() -> Path:
    """The folder of all kernels: ``$SPIKELOOM_CACHE``, else the user's cache folder."""
    override = os.environ.get("SPIKELOOM_CACHE")
    if override:
        return Path(override).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "spikeloom" / "kernels"


@functools.lru_cache(maxsize=4096)
def load(source: str) -> types.ModuleType:
    """The module of generated ``source``, compiled or taken from the cache."""
    root = _usable_root()
    folder = root / _key(source)
    if _is_kept(source, folder):
        return _run(source, folder)
    aside = _aside(source, root)
    with _uncollected():
        module = _run(source, aside)
    _publish(aside, folder)
    return module


@functools.lru_cache(maxsize=4096)
def load_for_triton(source: str, interpreted: bool) -> types.ModuleType:
    """The module of generated Triton ``source``; ``interpreted`` says what ``triton.jit`` makes of it at the moment.

    Triton compiles at the first launch, into a cache of its own. It asks :mod:`inspect` for the text, which is
    answered from memory here: what it compiles is the text we generated, whatever becomes of the file.
    """
    root = _usable_root()
    folder = root / _key(source)
    if not _is_kept(source, folder):
        _publish(_aside(source, root), folder)
    path = str(folder / _SOURCE)
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    return _run(source, folder)


@contextlib.contextmanager
def _uncollected() -> Generator[None]:
    """Compiling makes many objects; to look for cycles among these and all of torch's takes a tenth of its time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _is_kept(source: str, folder: Path) -> bool:
    """Whether the folder can be used; one that cannot is removed."""
    if not folder.exists():
        return False
    trouble = _verify(folder, source)
    if trouble is not None:
        warnings.warn(f"kernel cache: {trouble} in {folder}; the kernel is built again", stacklevel=3)
        shutil.rmtree(folder, ignore_errors=True)
    return trouble is None


def _aside(source: str, root: Path) -> Path:
    aside = Path(tempfile.mkdtemp(prefix="building-", dir=root))
    (aside / _SOURCE).write_text(source, encoding="utf-8")
    return aside


def _publish(aside: Path, folder: Path) -> None:
    hashes = {str(p.relative_to(aside)): _hash(p.read_bytes()) for p in sorted(aside.rglob("*")) if p.is_file()}
    (aside / _MANIFEST).write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    try:
        aside.rename(folder)
    except OSError:  # another process was first; its folder has the same content
        shutil.rmtree(aside, ignore_errors=True)


def _run(source: str, folder: Path) -> types.ModuleType:
    """Execute the source we generated, never the file: only Numba's verified files are read back."""
    path = folder / _SOURCE
    module = types.ModuleType(f"spikeloom_kernel_{_key(source)}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def _verify(folder: Path, source: str) -> str | None:
    """What is wrong with a cached kernel, or None."""
    try:
        hashes: dict[str, str] | list[object] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {_MANIFEST}
        if not isinstance(hashes, dict) or present != set(hashes):
            return "unexpected or missing files"
        if any(_hash((folder / name).read_bytes()) != expected for name, expected in hashes.items()):
            return "a file that does not match its hash"
        if (folder / _SOURCE).read_text(encoding="utf-8") != source:
            return "another kernel's source"
    except (OSError, ValueError) as error:
        return f"an unreadable file ({type(error).__name__})"
    return None


def _usable_root() -> Path:
    """The cache folder, owner-only; a private temporary one (with a note) where that cannot be had."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = root.stat()
        if hasattr(os, "getuid"):
            if found.st_uid != os.getuid():
                raise PermissionError(f"{root} belongs to another user")
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                root.chmod(0o700)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        return _private_root(str(error))
    return root


@functools.lru_cache(maxsize=1)
def _private_root(reason: str) -> Path:
    warnings.warn(f"kernel cache not usable ({reason}); kernels of this process are not kept", stacklevel=3)
    return Path(tempfile.mkdtemp(prefix="spikeloom-kernels-"))


@functools.lru_cache(maxsize=4096)
def _key(source: str) -> str:
    return _hash(f"{source}\n{_surroundings()}".encode())[:40]


@functools.lru_cache(maxsize=1)
def _surroundings() -> str:
    """Everything besides the source that decides on the compiled code."""
    import llvmlite
    import numba

    from ..lang import dialects

    package = Path(dialects.__file__).parent
    texts = [_hash(p.read_bytes()) for p in sorted(package.glob("numba*.py"))]
    texts += [_hash(Path(__file__).with_name(name).read_bytes()) for name in ("compiler.py", "philox.py")]
    versions = [sys.version, numba.__version__, llvmlite.__version__, platform.machine()]
    with contextlib.suppress(Exception):
        from llvmlite import binding

        versions += [binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()]
    return "\n".join([*texts, *versions])


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

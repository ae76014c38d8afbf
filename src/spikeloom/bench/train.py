"""``spikeloom bench train``: training and inference beside floors and peers."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchError
from .config import TrainConfig, TurnsConfig
from .parity import difference
from .process import Contender, has_module
from .rounds import Say, take_turns
from .workloads import TASKS, Task

OURS, REFERENCE = "spikeloom", "loop in torch"
# Spyx compares the membrane of the step before with the threshold: it is held against a loop of its own equations.
SPYX, EQUATIONS = "Spyx (own dynamics)", "loop of Spyx's equations"
_AGAINST, _KINDS = {SPYX: EQUATIONS, EQUATIONS: EQUATIONS}, {SPYX: ("neurons", "mlp")}
RECORDED = ", recorded"  # the label of a contender whose calls are played from a CUDA graph
PEERS = {"snnTorch": "snntorch", "SpikingJelly": "spikingjelly", "Norse": "norse", "Sinabs": "sinabs", SPYX: "spyx"}
# glibc: nothing that is freed goes back to the system. Page faults else take half of the floor's time.
_OTHER_NUMBERS = "Was the code changed while it ran, or do interpreters have different versions of NumPy?"
_KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_TOP_PAD_": "268435456"}


def interpreters(config: TrainConfig) -> dict[str, str]:
    """The interpreter of each peer that is there. Raises :class:`BenchError` where one is given and has none."""
    found: dict[str, str] = {}
    torch = [peer for peer in PEERS if peer != SPYX]
    for given, peers in ((config.peers, torch), (config.jax, [] if config.gpu else [SPYX])):
        python = given or sys.executable
        there = {peer: python for peer in peers if has_module(python, PEERS[peer])}
        if given and not there:
            wanted = ", ".join(PEERS[peer] for peer in peers)
            raise BenchError(f"{python} has none of the peers it is given for", expected=wanted)
        found |= there
    return found


def bench(task: Task, config: TrainConfig, peers: Mapping[str, str], say: Say) -> dict[str, Any]:
    """Compare, then measure: rounds, first call, and memory of every contender whose spikes and gradients are right.

    Raises :class:`BenchError` where spikeloom's own are not, or where there is no card that is asked for.
    """
    if config.gpu and not importlib.import_module("torch").cuda.is_available():
        raise BenchError("--gpu needs a CUDA device", got="none that torch can use", mend="Leave it out for the CPU.")
    spec = {**dataclasses.asdict(task), "threads": config.threads, "seconds": config.seconds, "gpu": config.gpu}
    if config.batch:
        spec["batch"] = min(config.batch, task.batch)
    names = {OURS: "spikeloom_training", REFERENCE: "reference_training"}
    names |= {peer: f"{PEERS[peer]}_training" for peer in peers if task.kind in _KINDS.get(peer, (task.kind,))}
    refused, failed = compared(task.name, spec, names, peers, say)
    for label, why in {**refused, **failed}.items():
        if label in (OURS, REFERENCE):
            raise BenchError(f"{task.name}: {label} {why}", mend="Nothing is measured.")
    wanted = {f"floor, {kind}": ("floor_training", {**spec, "floor": kind}) for kind in floors(task)}
    wanted |= {label: (name, spec) for label, name in names.items() if label not in {**refused, **failed}}
    if config.gpu:
        found = [label for label in wanted if label != REFERENCE]
        wanted |= {label + RECORDED: (wanted[label][0], {**wanted[label][1], "recorded": True}) for label in found}
        peers = {**peers, **{peer + RECORDED: python for peer, python in peers.items()}}
    rows, lost, busy = measured(task.name, wanted, peers, config, say)
    for label, row in rows.items():
        if config.gpu:  # no C library has a part in it
            row["memory_mib"] = row["first_call_mib"]
            continue
        say(f"{task.name}: memory of {label}")
        row["memory_mib"] = memory(label, *wanted[label], python=peers.get(label, ""))
    return {
        "batch": spec["batch"],
        "gpu": rows[OURS]["card"] if config.gpu and OURS in rows else "",
        "contenders": rows,
        "refused": refused,
        "failed": failed | lost,
        "other_work_cores": busy,
    }


def measured(
    title: str, wanted: Mapping[str, tuple[str, Mapping[str, Any]]], peers: Mapping[str, str], how: TurnsConfig,
    say: Say,
) -> tuple[dict[str, Any], dict[str, str], float | None]:  # fmt: skip
    """Figures of each contender, by turns, why those that failed did, and the cores that other work kept busy.

    ``wanted`` gives for each label the module of the contender and its specification. ``first_call_mib`` is the peak
    of one call above net and input, once all is compiled.
    """
    rows: dict[str, Any] = {}
    refused: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        started: list[tuple[Contender, dict[str, Any]]] = []
        for label, (name, spec) in wanted.items():
            say(f"{title}: {label} starts")
            cache = stack.enter_context(tempfile.TemporaryDirectory()) if how.fresh_cache else ""
            own = {"OMP_NUM_THREADS": str(spec["threads"]), **({"SPIKELOOM_CACHE": cache} if cache else {})}
            own |= _KEEP if how.keep_memory else {}
            contender = stack.enter_context(Contender(label, name, spec, python=peers.get(label, ""), env=own))
            try:
                took = contender.ask("first")["first"]
            except BenchError as error:
                if not label.endswith(RECORDED):
                    raise
                refused[label] = str(error)  # not every framework can be recorded
                continue
            contender.ask("fresh")
            before = contender.ask("reset")["resident"]
            contender.ask("first")
            facts = {"first_call_s": took, "first_call_mib": _above(contender.ask("memory")["peak"], before)}
            started.append((contender, facts))
        if len({contender.facts["given"] for contender, *_ in started}) > 1:
            raise BenchError(f"{title}: contenders were given different numbers", mend=_OTHER_NUMBERS)
        turns, lost = take_turns([c for c, *_ in started], how.rounds, "run", lambda t: say(f"{title}, {t}"))
        for contender, facts in started:
            if contender.label in turns:
                rows[contender.label] = _row(contender, turns[contender.label]) | facts
    others = [turn["others"] for answers in turns.values() for turn in answers if turn["others"] is not None]
    return rows, refused | lost, round(sum(others) / len(others), 2) if others else None


def memory(label: str, name: str, spec: Mapping[str, Any], python: str = "") -> float | None:
    """The peak of several calls above net and input, in MiB, once all is compiled; None where it cannot be known.

    The C library is as it comes: kept memory would be counted, and some contenders leave more of it than others.
    """
    env = {"OMP_NUM_THREADS": str(spec["threads"])}
    with Contender(label, name, {**spec, "seconds": 0.0}, python=python, env=env) as contender:
        for action in ("first", "fresh"):
            contender.ask(action)
        before = contender.ask("reset")["resident"]
        for _ in range(2):
            contender.ask("run")
        return _above(contender.ask("memory")["peak"], before)


def floors(task: Task) -> tuple[str, ...]:
    """The kinds of floors of a workload; the fastest is the one."""
    return {"neurons": ("bytes",), "mlp": ("merged",)}.get(task.kind, ("merged", "steps"))


def compared(
    title: str, spec: Mapping[str, Any], names: Mapping[str, str], peers: Mapping[str, str], say: Say
) -> tuple[dict[str, str], dict[str, str]]:
    """Who computes something else, and who fails, and why; in processes that measure nothing."""
    refused: dict[str, str] = {}
    failed: dict[str, str] = {}
    found: dict[str, dict[str, np.ndarray]] = {}
    given: dict[str, int] = {}
    names = {**names, **({EQUATIONS: "spyx_equations"} if SPYX in names else {})}
    with tempfile.TemporaryDirectory() as folder:
        for label, name in names.items():
            say(f"{title}: {label} is compared")
            file = Path(folder) / f"{name}.npz"
            try:
                with Contender(label, name, {**spec, "file": str(file)}, python=peers.get(label, "")) as contender:
                    given[label] = contender.facts["given"]
                    contender.ask("compare")
                with np.load(file, allow_pickle=False) as arrays:
                    found[label] = dict(arrays)
                file.unlink()
            except BenchError as error:
                failed[label] = str(error)
    for label, arrays in found.items():
        right = _AGAINST.get(label, REFERENCE)
        if right not in found:
            refused[label] = f"cannot be compared: {right} failed"
        elif given[label] != given[right]:
            refused[label] = f"was given other numbers than {right}. {_OTHER_NUMBERS}"
        elif why := difference(arrays, found[right]):
            refused[label] = f"computes something else: {why}"
    return refused, failed


def _row(contender: Contender, turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    dense = contender.ask("densities") if contender.label == OURS else {}
    return {
        "wall_s": [turn["wall"] for turn in turns],
        "compile_s": contender.facts["compile"],
        "import_s": contender.facts["import"],
        "versions": contender.facts["versions"],
        "card": contender.facts.get("card", ""),
        **{name: dense[name] for name in dense if name == "densities"},
    }


def _above(peak: float | None, before: float | None) -> float | None:
    return None if peak is None or before is None else peak - before


__all__ = ["OURS", "PEERS", "REFERENCE", "TASKS", "bench", "compared", "floors", "interpreters", "measured", "memory"]

"""Processes that are killed or asked to stop, and then go on."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from reliability_cases import KINDS, MOMENTS, Child, DieInSave, contents, undisturbed

from spikeloom.storage.checkpoint import load_checkpoint


def kills(count: int, kinds: tuple[str, ...] = KINDS, seed: int = 0) -> tuple[int, int, Counter[str]]:
    """``count`` kills in all, half of them inside a save; finished runs, those that differ, and where they died."""
    draw = random.Random(seed)
    done, differ, where = 0, 0, Counter[str]()
    share = -(-count // len(kinds))
    for kind in kinds:
        expected, left = undisturbed(kind), min(share, count - sum(where.values()))
        while left > 0:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name) / "run"
                hit = _until_the_end(kind, folder, left, draw)
                where += hit
                left -= sum(hit.values())
                done += 1
                differ += contents(folder) != expected
    return done, differ, where


def _until_the_end(kind: str, folder: Path, most: int, draw: random.Random) -> Counter[str]:
    """One training, killed again and again, at most ``most`` times."""
    hit = Counter[str]()
    while True:
        left = most - sum(hit.values())
        # Turn by turn: by the clock from outside, and by itself at a moment of a save.
        clock = draw.random() < 0.5
        death = None if clock or not left else DieInSave(draw.randint(1, 8), draw.choice(MOMENTS))
        with Child(kind, folder, death) as run:
            if left and clock:
                run.wait_for_begin()
                time.sleep(draw.uniform(0.0, 0.12))
                run.process.kill()
            code = run.end()
        if code == 0:
            return hit
        assert code == -signal.SIGKILL, f"exit code {code}"
        hit[death.moment if death else "by the clock"] += 1


def terminations(count: int, kinds: tuple[str, ...] = KINDS, seed: int = 0) -> tuple[int, int, int, int]:
    """``count`` SIGTERMs: those with exit code 143, a valid checkpoint, no second step; finished runs that differ."""
    draw = random.Random(seed)
    good = late = differ = finished = 0
    expected = {kind: undisturbed(kind) for kind in kinds}
    sent = 0
    while sent < count:
        kind = kinds[sent % len(kinds)]
        with tempfile.TemporaryDirectory() as name:
            folder, code = Path(name) / "run", 143
            while code == 143:
                with Child(kind, folder) as run:
                    run.wait_for_begin()
                    if sent < count:
                        time.sleep(draw.uniform(0.0, 0.08))
                        run.process.terminate()
                    code = run.end()
                if code == 143:
                    sent += 1
                    load_checkpoint(folder / "last.json")
                    good += 1
                late += code == 99
                assert code in (0, 99, 143), f"exit code {code}"
            finished += 1
            differ += contents(folder) != expected[kind]
    return good, late, finished, differ

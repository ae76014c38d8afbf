"""What a training stands, counted: ``python benchmarks/reliability.py CAMPAIGN [--count N]``.

Each campaign prints one line, what was asked and what was measured, and ends with exit code 1 when they differ.
``docs/reliability.md`` explains them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One line: whether it is as asked, and the measured text."""

    good: bool
    measured: str


def kills(count: int) -> Result:
    """SIGKILL, half of the time inside a save, then resume."""
    from reliability_kills import kills

    done, differ, where = kills(count)
    places = ", ".join(f"{n} {place}" for place, n in where.most_common())
    return Result(not differ, f"{sum(where.values())} kills ({places}) in {done} finished runs, {differ} differ")


def sigterm(count: int) -> Result:
    """SIGTERM: a valid checkpoint, exit code 143, no further step; the run then ends as if nothing had happened."""
    from reliability_kills import terminations

    good, late, done, differ = terminations(count)
    return Result(
        not late and not differ and good >= count,
        f"{good} stopped within a step with a valid checkpoint and exit code 143, {late} late; {differ} of {done} "
        "finished runs differ",
    )


def faults(count: int) -> Result:
    """Full and failing disks while a checkpoint is written."""
    from reliability_files import faults

    tried, survived, wrong = faults()
    return Result(tried == survived, f"{survived} of {tried}: one FileError, every file as before{_list(wrong)}")


def flips(count: int) -> Result:
    """Single bits of a checkpoint."""
    from reliability_files import flips

    tried, accepted, other = flips(count)
    return Result(not accepted and not other, f"{tried} flipped, {accepted} accepted{_list(other)}")


def payloads(count: int) -> Result:
    """Files made to do harm."""
    from reliability_files import crafted

    tried, refused, other = crafted()
    return Result(tried == refused and not other, f"{refused} of {tried} refused, no code ran{_list(other)}")


def repeats(count: int) -> Result:
    """The same training again and again."""
    from reliability_numbers import repeats

    found = repeats(count)
    return Result(found == 1, f"{count} runs, {found} different result{'s' if found > 1 else ''}")


def threads(count: int) -> Result:
    """One step on one thread and on two."""
    from reliability_numbers import threads

    found = threads()
    text = ", ".join(f"{name} {'bit-identical' if same else f'{apart:.1e}'}" for name, (apart, same) in found.items())
    return Result(all(apart <= 1e-5 for apart, _ in found.values()), f"relative difference of the gradient: {text}")


def configs(count: int) -> Result:
    """Random configurations."""
    from reliability_configs import fuzz

    ran, refused, wrong = fuzz(count)
    return Result(not wrong, f"{ran} took a step, {refused} refused with one message, {len(wrong)} else{_list(wrong)}")


def nonfinite(count: int) -> Result:
    """NaN and infinity in loss, weights and states."""
    from reliability_numbers import nonfinite

    tried, good, wrong = nonfinite()
    return Result(
        tried == good, f"{good} of {tried} stopped with layer, step and the last good checkpoint{_list(wrong)}"
    )


CAMPAIGNS: dict[str, tuple[Callable[[int], Result], int, str]] = {
    "kills": (kills, 100, "{} kills over 5 kinds of model, then weights bit-identical to an undisturbed run"),
    "sigterm": (sigterm, 50, "{} of {} stop within one step, valid checkpoint, exit code 143"),
    "faults": (faults, 28, "{} of {} keep the old checkpoint and say what is wrong"),
    "flips": (flips, 10_000, "{} flipped bits, 0 accepted"),
    "payloads": (payloads, 25, "{} crafted files refused, no code run"),
    "repeats": (repeats, 100, "{} runs bit-identical"),
    "threads": (threads, 1, "1 against 2 threads: one step within 1e-5 relative"),
    "configs": (configs, 5_000, "{}: a valid run or one clear message"),
    "nonfinite": (nonfinite, 30, "{} of {} injections stop naming layer, step and last good checkpoint"),
}


def _list(wrong: list[str]) -> str:
    return "".join(f"\n    {text}" for text in wrong[:10])


def main() -> int:
    """Run one campaign, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaign", choices=[*CAMPAIGNS, "all"])
    parser.add_argument("--count", type=int, help="how many; the campaigns with a fixed list take no notice")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    bad = 0
    for name in CAMPAIGNS if options.campaign == "all" else [options.campaign]:
        campaign, usual, asked = CAMPAIGNS[name]
        began, count = time.perf_counter(), options.count or usual
        result = campaign(count)
        text = asked.format(count, count)
        print(f"{name}: asked {text} / measured {result.measured} ({time.perf_counter() - began:.0f} s)", flush=True)
        bad += not result.good
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())

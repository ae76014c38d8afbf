"""The optimiser and the schedule of its rate, both torch's, as tensors and JSON values to keep."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import lr_scheduler as schedules

from .settings import FitSettings
from .weights import connection_weights


def make_optimiser(net: torch.nn.Module, settings: FitSettings) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters of ``net`` that are trained; only weights decay.

    >>> make_optimiser(torch.nn.Linear(2, 2), FitSettings(1, 0.1, 0.5, 1, 1.0)).param_groups[1]["weight_decay"]
    0.0
    """
    # Decay belongs to weights; on a bias or a time constant it would pull towards a value that means nothing.
    weights = [p for p in connection_weights(net) if p.requires_grad]
    others = [p for p in net.parameters() if p.requires_grad and all(p is not w for w in weights)]
    groups = [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if settings.optimiser == "sgd":
        nesterov = settings.momentum > 0
        return torch.optim.SGD(groups, settings.learning_rate, momentum=settings.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


def make_schedule(optimiser: torch.optim.Optimizer, settings: FitSettings, steps: int) -> schedules.LRScheduler:
    """The learning rate over ``steps`` steps; call its ``step()`` after each step of the optimiser."""
    rise = round(settings.warmup * steps)
    rest = max(1, steps - rise)
    main: schedules.LRScheduler
    if settings.schedule == "one-cycle":
        total = max(2, steps)
        return schedules.OneCycleLR(optimiser, settings.learning_rate, total_steps=total, cycle_momentum=False)
    if settings.schedule == "cosine":
        main = schedules.CosineAnnealingLR(optimiser, T_max=rest)
    else:
        main = schedules.ConstantLR(optimiser, factor=1.0)
    if not rise:
        return main
    up = schedules.LinearLR(optimiser, start_factor=1.0 / (rise + 1), total_iters=rise)
    return schedules.SequentialLR(optimiser, [up, main], milestones=[rise])


def optimiser_to_plain(optimiser: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Its state as named tensors and JSON values."""
    content = optimiser.state_dict()
    tensors, numbers = {}, {}
    for index, entries in content["state"].items():
        for name, value in entries.items():
            place = tensors if isinstance(value, torch.Tensor) else numbers
            place[f"{index}.{name}"] = value
    return tensors, {"groups": content["param_groups"], "numbers": numbers}


def restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], plain: dict[str, Any]
) -> None:
    """The inverse of :func:`optimiser_to_plain`; an optimiser made for the same parameters goes on bit by bit."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **plain["numbers"]}.items():
        index, _, entry = name.partition(".")
        state.setdefault(int(index), {})[entry] = value
    optimiser.load_state_dict({"state": state, "param_groups": plain["groups"]})

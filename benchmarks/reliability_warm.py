"""Imported once by the server that processes are forked from: every kernel is compiled or loaded, on one thread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from reliability_cases import KINDS, SETTINGS, TRAIN, VALIDATION, task

from spikeloom.train.loop import fit

torch.set_num_threads(1)
for kind in KINDS:
    fit(task(kind), replace(SETTINGS, epochs=1), TRAIN.take(np.arange(16)), VALIDATION, seed=0)

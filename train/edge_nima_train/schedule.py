"""The learning rate of each step, as a function of its number alone."""

from __future__ import annotations

import math

from edge_nima_train.config import Phase


def learning_rate(phase: Phase, step: int, steps_an_epoch: int) -> float:
    """The rate of a step of a phase.

    "constant"; "inverse-time", rate / (1 + decay * step), which is what `decay` meant in Keras' optimisers up to 2.10;
    "cosine", from the rate down to 0 after the last step (Loshchilov and Hutter 2017, without restarts). A warm-up
    rises linearly to it first.

    Args:
        phase: which.
        step: from 0, counted through all epochs of the phase.
        steps_an_epoch: how many make an epoch.
    """
    warm = phase.warmup * steps_an_epoch
    if step < warm:
        return phase.learning_rate * (step + 1) / math.ceil(warm)
    if phase.schedule == "inverse-time":
        return phase.learning_rate / (1 + phase.decay * step)
    if phase.schedule == "cosine":
        left = max(phase.epochs * steps_an_epoch - warm, 1)
        return phase.learning_rate * (1 + math.cos(math.pi * min((step - warm) / left, 1.0))) / 2
    return phase.learning_rate

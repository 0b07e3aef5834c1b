"""How much a longer stage 1 would lower the held-out loss: a power law through the learning curve, extrapolated.

Place in the flow: the record of stage 1 → here → the report of a task ("Would more time help?").

**Model.** While the learning rate is constant, the loss after x tokens is a + b · x^(-c) plus noise, as scaling laws
have it (Hoffmann et al. 2022, arXiv 2203.15556). The decay lowers the loss by an amount that a longer run gains as well
(Hägele et al. 2024, arXiv 2405.18392). A token read at a part of the full learning rate counts as this part, so a
linear decay counts half. Twice the budget is twice as many of these effective tokens, and lowers the loss by
b · (x^(-c) - (2x)^(-c)).

**Uncertainty.** Few points on a short plateau do not determine the floor a and the exponent c. All exponents of a grid
are weighted by how well they fit (a flat prior on the level and the slope of the observed curve, Jeffreys' prior on the
noise), and the interval covers exponent, level, slope and noise. Exponents near zero and below stand for
a line over log x and for a curve that falls faster and faster, as real curves do at their start. Neighbouring
measurements share noise, so two of them count as one. The tests measure how often the interval contains the true value,
and compare forecasts from parts of a real curve with its rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlm.config.training import Optimizer
from tlm.statistics import LEVEL, Interval

FEWEST = 8  # points of the plateau
_RECENT = 4  # the fit uses the last three quarters of the plateau: the start of a run follows another law
_EXPONENTS = np.concatenate([np.linspace(-0.3, -0.02, 15), np.geomspace(0.02, 1.5, 45)])
_DRAWS = 8000
_INDEPENDENT = 0.5  # share of the measurements that counts, because neighbours share noise


@dataclass(frozen=True)
class Plateau:
    """The measurements between warm-up and decay, and the effective tokens of the whole run."""

    tokens: np.ndarray
    """Effective tokens at each measurement, (points,)."""
    losses: np.ndarray
    end: float
    """Effective tokens of the run."""
    doubled: float
    """Effective tokens of a run with twice the budget and the same warm-up."""
    kept: int
    """Tokens before the decay, which a longer run does not read again."""


@dataclass(frozen=True)
class LossDrop:
    """The expected drop of the loss, its median and its 95 % interval."""

    value: float
    interval: Interval


def plateau(
    optimizer: Optimizer,
    steps: int,
    history: Sequence[tuple[int, int, float]],
    decay_start: int | None = None,
) -> Plateau | None:
    """The plateau of a run of `steps`, from (step, tokens, loss); None if it has fewer than `FEWEST` points.

    `decay_start` is given if the run was shortened.
    """
    total = next((tokens for step, tokens, _ in history if step == steps), None)
    start = optimizer.decay_start(steps) if decay_start is None else decay_start
    warmup = optimizer.warmup(steps)
    if total is None:
        return None
    per_step = total / steps
    lost = warmup * per_step / 2  # a linear warm-up counts half
    used = [
        (tokens - lost, loss)
        for step, tokens, loss in history
        if max(warmup, start / _RECENT) <= step <= start and tokens > lost
    ]
    if len(used) < FEWEST:
        return None
    kept = start * per_step
    end = kept - lost + (total - kept) / 2
    tokens, losses = (np.array(values, float) for values in zip(*used, strict=True))
    return Plateau(tokens, losses, end, 2 * (end + lost) - lost, round(kept))


def loss_drop(curve: Plateau) -> LossDrop:
    """The drop of the loss with twice the budget."""
    draws = drop_draws(curve.tokens, curve.losses, curve.end, curve.doubled)
    low, value, high = np.quantile(draws, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return LossDrop(float(value), Interval(float(low), float(high)))


def drop_draws(tokens: np.ndarray, losses: np.ndarray, start: float, end: float, seed: int = 0) -> np.ndarray:
    """Draws of loss(start) - loss(end) from the posterior of the model in the docstring above; (draws,)."""
    points = _INDEPENDENT * len(tokens)
    unit = tokens[-1]
    powers = (tokens[:, None] / unit) ** -_EXPONENTS  # (points, exponents)
    means = powers.mean(axis=0)
    centred = powers - means
    norms = np.sqrt((centred**2).sum(axis=0))
    directions = centred / norms
    level = losses.mean()
    slopes = directions.T @ (losses - level)
    rest = ((losses - level)[:, None] - directions * slopes) ** 2
    squares = np.maximum(_INDEPENDENT * rest.sum(axis=0), 1e-12)
    weights = -(points - 2) / 2 * np.log(squares)
    weights = np.exp(weights - weights.max())
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(_EXPONENTS), _DRAWS, p=weights / weights.sum())
    noise = np.sqrt(squares[chosen] / rng.chisquare(points - 2, _DRAWS))
    slope = (slopes[chosen] + noise * rng.standard_normal(_DRAWS) / np.sqrt(_INDEPENDENT)) / norms[chosen]
    exponents = -_EXPONENTS[chosen]
    return slope * ((start / unit) ** exponents - (end / unit) ** exponents)

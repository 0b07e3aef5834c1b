"""The forecast of the held-out loss: its interval contains the true value as often as it says, on known curves."""

import numpy as np
import pytest

from tlm.config.training import Optimizer
from tlm.results.loss_forecast import FEWEST, drop_draws, loss_drop, plateau

OPTIMIZER = Optimizer(learning_rate=1.0, warmup_steps=50, decay_fraction=0.6)
STEPS, PER_STEP = 1000, 3000
WHOLE = STEPS * PER_STEP


def loss(tokens, floor, drop, exponent):
    """A power law that falls by `drop` from a tenth of the run to its end."""
    slope = drop / ((0.1 * WHOLE) ** -exponent - WHOLE**-exponent)
    return floor + slope * np.maximum(tokens, 1.0) ** -exponent


def history(true, noise, rng, every=25, correlation=0.0):
    """Measurements on the plateau, with noise, and the last one, which no fit uses."""
    steps = np.arange(every, 401, every)
    errors = rng.standard_normal(len(steps))
    for number in range(1, len(errors)):
        errors[number] = correlation * errors[number - 1] + np.sqrt(1 - correlation**2) * errors[number]
    lost = 50 * PER_STEP / 2
    values = true(steps * PER_STEP - lost) + noise * errors
    return [
        *zip(steps.tolist(), (steps * PER_STEP).tolist(), values.tolist(), strict=True),
        (STEPS, WHOLE, 0.1),
    ]


CURVES = [(2.0, 1.5, 0.3), (0.5, 1.2, 0.15), (3.0, 2.0, 0.8), (2.5, 0.3, 0.5), (1.0, 2.5, 0.1)]


def coverage(noise, correlation=0.0, trials=40):
    """Share of intervals that contain the truth, the median width relative to the truth, and the median bias."""
    rng, hits, widths, biases = np.random.default_rng(1), [], [], []
    for floor, drop, exponent in CURVES:

        def true(tokens, values=(floor, drop, exponent)):
            return loss(tokens, *values)

        for _ in range(trials):
            curve = plateau(OPTIMIZER, STEPS, history(true, noise, rng, correlation=correlation))
            truth = float(true(curve.end) - true(curve.doubled))
            found = loss_drop(curve)
            hits.append(truth in found.interval)
            widths.append((found.interval.high - found.interval.low) / truth)
            biases.append(found.value / truth - 1)
    return np.mean(hits), np.median(widths), np.median(biases)


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
def test_95_percent_intervals_contain_the_true_drop_about_as_often(noise):
    hits, width, bias = coverage(noise)

    assert hits >= 0.94 and abs(bias) < 0.15
    assert width < {0.003: 0.25, 0.01: 0.6, 0.03: 1.5}[noise]  # of the drop: not covered by being endless


def test_noise_that_lasts_from_one_measurement_to_the_next_is_covered():
    hits, width, bias = coverage(0.01, correlation=0.4)

    assert hits >= 0.92 and width < 0.6 and abs(bias) < 0.15


def test_a_curve_without_noise_gives_its_parameters_back():
    for floor, drop, exponent in CURVES:
        tokens = np.linspace(0.1, 0.4, 14) * WHOLE
        draws = drop_draws(tokens, loss(tokens, floor, drop, exponent), 0.7 * WHOLE, 1.4 * WHOLE)
        truth = loss(0.7 * WHOLE, floor, drop, exponent) - loss(1.4 * WHOLE, floor, drop, exponent)
        assert np.median(draws) == pytest.approx(truth, rel=0.07)


def test_a_flat_curve_promises_nothing():
    rng = np.random.default_rng(2)
    found = loss_drop(plateau(OPTIMIZER, STEPS, history(lambda t: np.full(len(t), 3.0), 0.01, rng)))
    assert 0.0 in found.interval and found.interval.high < 0.1


REAL = {  # tokens → held-out loss of a 2 x 128 model on SciERC, before the decay
    79017: 6.171, 154154: 5.733, 230572: 5.408, 310304: 5.203, 389361: 4.955, 462306: 4.791, 543085: 4.596,
    621531: 4.453, 696705: 4.311, 775387: 4.176, 852347: 4.103, 929255: 4.032, 1008156: 3.932, 1084989: 3.901,
    1161394: 3.782,
}  # fmt: skip


@pytest.mark.parametrize("points", [9, 10, 11, 12, 13])
def test_a_forecast_from_a_part_of_a_real_curve_contains_its_rest(points):
    tokens, losses = np.array([*REAL], float) - 80_000, np.array([*REAL.values()])
    used = [place for place in range(points) if tokens[place] >= tokens[points - 1] / 4]
    draws = drop_draws(tokens[used], losses[used], tokens[points - 1], tokens[-1])
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975])
    seen = losses[points - 1] - losses[-1]
    assert low < seen < high and middle == pytest.approx(seen, rel=0.15)


def test_tokens_count_by_their_learning_rate():
    curve = plateau(OPTIMIZER, STEPS, history(lambda t: loss(t, 2, 1, 0.3), 0.01, np.random.default_rng(3)))
    rates = [OPTIMIZER.learning_rate * min(1, (step + 1) / 50) for step in range(400)]
    rates += [(STEPS - step) / 600 for step in range(400, STEPS)]
    assert curve.end == pytest.approx(PER_STEP * sum(rates), rel=0.01)
    assert curve.doubled == pytest.approx(PER_STEP * (25 + 750 + 600), rel=0.01)
    assert curve.tokens[0] >= 100 * PER_STEP - 25 * PER_STEP and curve.kept == 400 * PER_STEP


def test_too_few_points_or_an_unfinished_run_give_nothing():
    few = history(lambda t: loss(t, 2, 1, 0.3), 0.01, np.random.default_rng(4), every=70)
    assert len(few) < FEWEST + 1 and plateau(OPTIMIZER, STEPS, few) is None
    many = history(lambda t: loss(t, 2, 1, 0.3), 0.01, np.random.default_rng(4))
    assert plateau(OPTIMIZER, STEPS, many[:-1]) is None
    assert plateau(OPTIMIZER, STEPS, []) is None


def test_the_same_record_gives_the_same_forecast():
    curve = plateau(OPTIMIZER, STEPS, history(lambda t: loss(t, 2, 1, 0.3), 0.01, np.random.default_rng(5)))
    assert loss_drop(curve) == loss_drop(curve)

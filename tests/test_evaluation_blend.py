"""The blend of two models: its weight, its calibration, and the choice between the three."""

import numpy as np
import pytest
from evaluation_toy import make_task

from tlm.config.linear import LINEAR
from tlm.evaluation.artifact import RunName, decide, open_evaluation, read_rows, read_task, write_evaluation
from tlm.evaluation.blend import PRIOR, choose, cross_fitted, fit_blend
from tlm.evaluation.linear import evaluate_linear
from tlm.problems import CLASSIFICATION, MULTI_LABEL, REGRESSION


def noisy(truth, classes, noise, seed, sharp=1.0):
    """Probabilities of a model that sees the truth through noise; `sharp` > 1: overconfident."""
    draw = np.random.default_rng(seed)
    logits = np.eye(classes)[truth] * 2 + draw.normal(size=(len(truth), classes)) * noise
    return CLASSIFICATION.probabilities(logits * sharp)


def log_loss(problem, outputs, truth):
    return problem.log_loss(outputs, truth) / len(truth)


def test_two_models_with_different_errors_are_better_together():
    truth = np.random.default_rng(0).integers(3, size=2000)
    one, other = noisy(truth, 3, 1.0, 1, sharp=4), noisy(truth, 3, 1.0, 2)
    dev = slice(None, 1000)
    blend = fit_blend(CLASSIFICATION, one[dev], other[dev], truth[dev])
    assert 0.4 < blend.weight < 0.6 and blend.encoder_temperature > 2 * blend.linear_temperature
    rest = slice(1000, None)
    mixed = log_loss(CLASSIFICATION, blend.outputs(CLASSIFICATION, one[rest], other[rest]), truth[rest])
    each = [
        log_loss(CLASSIFICATION, CLASSIFICATION.log_odds(model[rest]), truth[rest]) for model in (one, other)
    ]
    assert mixed < 0.9 * min(each)


def test_a_useless_model_gets_little_weight_and_few_texts_give_one_half():
    truth = np.random.default_rng(0).integers(3, size=3000)
    good, useless = noisy(truth, 3, 0.5, 1), noisy(truth, 3, 50.0, 2)
    blend = fit_blend(CLASSIFICATION, good, useless, truth)
    assert 0.9 < blend.weight <= (len(truth) + PRIOR / 2) / (len(truth) + PRIOR)  # shrunk from 1 at most
    few = fit_blend(CLASSIFICATION, good[:20], useless[:20], truth[:20])
    assert 0.5 <= few.weight < 0.55


def test_the_labels_of_a_part_of_dev_do_not_change_its_own_blend():
    truth = np.random.default_rng(0).integers(3, size=200)
    one, other = noisy(truth, 3, 1.0, 1), noisy(truth, 3, 1.0, 2)
    part = np.arange(200) % 5 == 0
    changed = np.where(part, (truth + 1) % 3, truth)
    before, after = (cross_fitted(CLASSIFICATION, one, other, labels) for labels in (truth, changed))
    np.testing.assert_array_equal(before[part], after[part])
    assert not np.array_equal(before[~part], after[~part])


def test_numbers_and_sets_of_labels_are_blended_too():
    draw = np.random.default_rng(0)
    numbers = draw.normal(size=1000)
    one, other = (numbers[:, None] + draw.normal(size=(1000, 1)) for _ in range(2))
    blend = fit_blend(REGRESSION, one, other, numbers)
    assert 0.4 < blend.weight < 0.6 and blend.temperature == blend.encoder_temperature == 1
    error = ((blend.outputs(REGRESSION, one, other)[:, 0] - numbers) ** 2).mean()
    assert error < 0.6  # of each alone: 1
    sets = draw.random((1000, 4)) < 0.3
    one, other = (
        MULTI_LABEL.probabilities(np.where(sets, 1.0, -1.0) + draw.normal(size=sets.shape) * 2)
        for _ in range(2)
    )
    blend = fit_blend(MULTI_LABEL, one, other, sets)
    mixed = log_loss(MULTI_LABEL, blend.outputs(MULTI_LABEL, one, other), sets)
    assert mixed < min(log_loss(MULTI_LABEL, MULTI_LABEL.log_odds(each), sets) for each in (one, other))


WORDS = {"red": "apple cherry rose blood", "green": "grass leaf lime frog", "blue": "sky sea ink whale"}


def texts(count, seed, wrong=0.0):
    draw = np.random.default_rng(seed)
    found = []
    for index in range(count):
        label = sorted(WORDS)[index % 3]
        words = " ".join(draw.choice(WORDS[label].split(), 3))
        found.append((words, sorted(WORDS)[(index + 1) % 3] if draw.random() < wrong else label))
    return found


@pytest.fixture
def evaluations(tmp_path):
    """An encoder of a given share of right answers, and the two linear models, on a task that words decide."""

    def build(share, test_wrong=0.0):
        folder = tmp_path / f"{share}-{test_wrong}"
        rows = {"train": texts(90, 1), "dev": texts(90, 2, 0.2), "test": texts(60, 3, test_wrong)}
        task_dir = make_task(folder / "colours", rows, labels=sorted(WORDS))
        task = read_task(task_dir)
        draw = np.random.default_rng(5)
        outputs = {}
        for split in task.splits:
            found = read_rows(task_dir, split)
            ids = CLASSIFICATION.ids(found.labels, task.labels)
            right = draw.random(len(ids)) < share
            outputs[split] = found, 3 * np.eye(3)[np.where(right, ids, (ids + 1) % 3)]
        decided = decide(task, outputs)
        write_evaluation(
            folder / "encoder", run=RunName("smoke", "colours", "tlm", 1), task=task, splits=decided.splits,
            flops={}, timing={}, parameters={}, inputs={},
        )  # fmt: skip
        for name, spec in LINEAR.items():
            evaluate_linear(RunName("smoke", "colours", name, 1), task_dir, folder / name, spec)
        return open_evaluation(folder / "encoder"), [open_evaluation(folder / name) for name in LINEAR]

    return build


@pytest.mark.parametrize(("share", "use"), [(0.1, "linear"), (1.0, "encoder")])
def test_the_best_on_dev_is_used_and_of_equals_the_cheaper(evaluations, share, use):
    encoder, linear = evaluations(share)
    choice = choose(CLASSIFICATION, "macro_f1", encoder, linear)
    assert choice.use == use and choice.dev[use] == max(choice.dev.values())
    assert choice.linear.metrics["dev"]["primary"] == max(each.metrics["dev"]["primary"] for each in linear)
    assert choice.dev["encoder"] == encoder.metrics["dev"]["primary"]


def test_test_labels_change_no_choice_and_no_weight(evaluations):
    one, other = (
        choose(CLASSIFICATION, "macro_f1", *evaluations(0.7, test_wrong=wrong)) for wrong in (0.0, 0.9)
    )
    assert (one.use, one.dev, one.blend) == (other.use, other.dev, other.blend)
    assert one.test["blend"] > other.test["blend"]

"""Fit a linear model on n-grams: C and class weights are chosen on dev by the task's metric.

Place in the flow: train and dev rows → here → `tlm.evaluation.linear`. Class weights are tried if the metric counts
rare classes more than their rows: macro-F1, F1 and Matthews' correlation. Uses no random numbers but a fixed seed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from tlm.config.linear import ClassWeights, LinearSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import SplitRows, TaskInfo
from tlm.evaluation.linear_model import FeatureBlock, LinearModel, joined, vectorizer
from tlm.metrics import score
from tlm.problems import CLASSIFICATION

ABSENT = -1e4
"""The logit of a class without training rows: its probability is 0."""
_WEIGHED = ("macro_f1", "f1", "accuracy_f1", "matthews")
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff]"
)  # Han, kana, Thai, Lao, Myanmar, Khmer


@dataclass(frozen=True)
class LinearChoice:
    """The settings chosen on dev, and their score there as a fraction."""

    strength: float
    class_weights: ClassWeights
    dev: float

    def __str__(self) -> str:
        weights = ", balanced class weights" if self.class_weights == "balanced" else ""
        return f"C {self.strength:g}{weights}"


@dataclass(frozen=True)
class FittedLinear:
    """The chosen model."""

    model: LinearModel
    choice: LinearChoice
    dev_outputs: np.ndarray
    """(rows, outputs) on dev."""


def unspaced(texts: Sequence[str]) -> bool:
    """Whether the texts' script has no spaces between words; the features are then characters instead of words."""
    sample = "".join(texts[:1000])
    return len(_UNSPACED.findall(sample)) > 0.3 * len(sample)


def candidates(spec: LinearSpec, metric: str) -> list[tuple[float, ClassWeights]]:
    """Every C with every kind of class weights that is tried for the metric, the smallest C first."""
    weights: tuple[ClassWeights, ...] = ("equal", "balanced") if metric in _WEIGHED else ("equal",)
    return [(strength, each) for strength in sorted(spec.strengths) for each in weights]


def fit_linear(
    spec: LinearSpec,
    task: TaskInfo,
    train: SplitRows,
    dev: SplitRows,
    tried: Callable[[str], None] = lambda _: None,
) -> FittedLinear:
    """The best on dev of all `candidates`. Of a multi-label task, every label is fitted against the rest.

    `tried` gets a sentence on each candidate. A candidate whose solver does not converge is left out. Raises TlmError
    if none converges, or if the training texts have no words or one label only.
    """
    if task.problem is CLASSIFICATION and len(set(train.labels)) < 2:
        raise TlmError(f"all training rows have the label {train.labels[0]!r}; a classifier needs two labels")
    truth, dev_truth = (task.problem.ids(rows.labels, task.labels) for rows in (train, dev))
    blocks, features = _blocks(spec, joined_texts(train))
    dev_features = joined([block.features(joined_texts(dev)) for block in blocks])
    best: FittedLinear | None = None
    for strength, weights in candidates(spec, task.metric):
        found = _fit(spec, strength, weights, features, truth, task)
        named = LinearChoice(strength, weights, 0.0)
        if found is None:
            tried(f"{named}: left out, not converged in {spec.iterations} iterations")
            continue
        model = LinearModel(task.labels, blocks, *(part.astype(np.float32) for part in found))
        outputs = model.outputs(dev_features)
        guess = task.problem.predict_dev(outputs, dev_truth)
        chances = task.problem.probabilities(outputs)
        value = score(task.metric, dev_truth, guess, range(len(task.labels)), chances)["primary"]
        tried(f"{named}: dev {task.metric} {value:.4f}")
        if best is None or value > best.choice.dev:
            best = FittedLinear(model, LinearChoice(strength, weights, value), outputs)
    if best is None:
        raise TlmError(
            f"the linear model did not converge in {spec.iterations} iterations for any C; check the training texts"
        )
    return best


def joined_texts(rows: SplitRows) -> list[str]:
    """One text per row; the two texts of a pair are joined."""
    if rows.pairs is None:
        return rows.texts
    return [f"{text} {pair}" for text, pair in zip(rows.texts, rows.pairs, strict=True)]


def _blocks(spec: LinearSpec, texts: Sequence[str]) -> tuple[tuple[FeatureBlock, ...], csr_matrix]:
    """The blocks of features that the training texts have, and the features of these texts."""
    kinds = [("char" if unspaced(texts) else "word", 1, spec.words)]
    if spec.characters is not None:
        kinds.append(("char_wb", *spec.characters))
    blocks, parts = [], []
    for kind, shortest, longest in kinds:
        fitted = vectorizer(kind, shortest, longest, min_df=spec.min_documents)
        try:
            parts.append(fitted.fit_transform(texts))
        except ValueError as error:  # scikit-learn's "empty vocabulary" and "no terms remain"
            raise TlmError(f"no words to learn from in the training texts ({error})") from None
        ngrams = tuple(str(each) for each in fitted.get_feature_names_out())
        blocks.append(FeatureBlock(kind, shortest, longest, ngrams, fitted.idf_.astype(np.float32)))
    return tuple(blocks), joined(parts)


Fitted = tuple[np.ndarray, np.ndarray]
"""Weights (outputs, features) and bias (outputs,)."""


def _fit(
    spec: LinearSpec,
    strength: float,
    weights: ClassWeights,
    features: csr_matrix,
    truth: np.ndarray,
    task: TaskInfo,
) -> Fitted | None:
    """One output a label, in the order of the labels; None if a solver does not converge."""
    balance = None if weights == "equal" else weights
    stop: dict[str, Any] = {"max_iter": spec.iterations, "tol": spec.tolerance}
    if task.regression:
        model: Any = Ridge(alpha=1 / strength, solver="sparse_cg", **stop)
    elif spec.classifier == "svm":
        model = LinearSVC(C=strength, class_weight=balance, dual=True, random_state=0, **stop)
    else:
        model = LogisticRegression(C=strength, class_weight=balance, **stop)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            if task.problem.many:
                return _stacked(
                    [_against_rest(model, features, truth[:, each]) for each in range(truth.shape[1])]
                )
            fitted = model.fit(features, truth)
        except ConvergenceWarning:
            return None
    found = np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)
    return found if task.regression else _by_label(*found, fitted.classes_, len(task.labels))


def _against_rest(model: Any, features: csr_matrix, truth: np.ndarray) -> Fitted:
    """The log-odds of one label. A label of no row, or of all rows, gets no weights."""
    if truth.all() or not truth.any():
        return np.zeros((1, features.shape[1])), np.array([-ABSENT if truth.all() else ABSENT])
    fitted = model.fit(features, truth)
    return fitted.coef_.copy(), np.atleast_1d(fitted.intercept_).copy()


def _stacked(parts: Sequence[Fitted]) -> Fitted:
    weights, biases = zip(*parts, strict=True)
    return np.vstack(weights), np.concatenate(biases)


def _by_label(weights: np.ndarray, bias: np.ndarray, classes: np.ndarray, labels: int) -> Fitted:
    """The logits of all labels from those of the classes that scikit-learn has seen."""
    if len(weights) == 1:  # two classes: scikit-learn has the second one's logit minus the first one's
        weights, bias = np.vstack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    whole, offsets = np.zeros((labels, weights.shape[1])), np.full(labels, ABSENT)
    whole[classes], offsets[classes] = weights, bias
    return whole, offsets

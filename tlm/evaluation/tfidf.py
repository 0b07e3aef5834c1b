"""TF-IDF and a linear model: the baseline that a user would try first (not in the paper).

Place in the flow: task → evaluation artifact, without a corpus, tokenizer or encoder. The features are words and word
pairs with sublinear counts; the model is logistic regression for classes, ridge regression for numbers. The strength
of regularization is chosen on dev alone; test is read once, after that.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from tlm.artifacts import Manifest
from tlm.config.baseline import TfidfSpec
from tlm.errors import TlmError
from tlm.evaluation.artifact import (
    Predictions,
    RunName,
    SplitRows,
    TaskInfo,
    as_predictions,
    read_rows,
    read_task,
    write_evaluation,
)
from tlm.metrics import score
from tlm.progress import Progress


def evaluate_tfidf(
    run: RunName, task_dir: Path, destination: Path, spec: TfidfSpec | None = None
) -> Manifest:
    """Fit on train, choose C on dev, predict dev and test, and write the evaluation artifact.

    Uses no random numbers, so one seed is enough. Raises TlmError if the training split has a single class or no
    words, or if the fit does not converge.
    """
    spec = spec or TfidfSpec()
    task = read_task(task_dir)
    # More threads are slower on sparse features, and they would make the order of sums depend on the machine.
    with threadpool_limits(1):
        return _evaluate(run, task, task_dir, destination, spec)


_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff]"
)  # Han, kana, Thai, Lao, Myanmar, Khmer


def unspaced(texts: Sequence[str]) -> bool:
    """Whether the texts' script has no spaces between words; the features are then characters instead of words."""
    sample = "".join(texts[:1000])
    return len(_UNSPACED.findall(sample)) > 0.3 * len(sample)


def _evaluate(run: RunName, task: TaskInfo, task_dir: Path, destination: Path, spec: TfidfSpec) -> Manifest:
    start = time.monotonic()
    train, dev = read_rows(task_dir, "train"), read_rows(task_dir, "dev")
    if not task.regression and len(set(train.labels)) < 2:
        raise TlmError(
            f"{task_dir}: all training rows have the label {train.labels[0]!r}; a classifier needs two labels"
        )
    vectorizer = TfidfVectorizer(
        analyzer="char" if unspaced(_texts(train)) else "word",
        ngram_range=(1, spec.ngrams),
        sublinear_tf=True,
        min_df=spec.min_documents,
        dtype=np.float64,
    )
    try:
        train_features = vectorizer.fit_transform(_texts(train))
    except ValueError as error:  # scikit-learn's "empty vocabulary" and "no terms remain"
        raise TlmError(f"{task_dir}: no words to learn from in the training texts ({error})") from None
    dev_features = vectorizer.transform(_texts(dev))
    progress = Progress(f"tfidf {task.name}", len(spec.strengths), "strengths")
    best: tuple[float, float, Any, Predictions] | None = None
    for strength in sorted(spec.strengths):
        model = _fit(task, spec, strength, train_features, train.labels)
        guess = _predict(task, model, dev_features)
        value = score(task.metric, dev.labels, guess.labels, task.labels)["primary"]
        progress.add(1, f"C {strength:g}: dev {task.metric} {value:.4f}")
        if best is None or value > best[0]:
            best = (value, strength, model, guess)
    assert best is not None
    _, strength, model, dev_guess = best
    seconds = time.monotonic() - start
    progress.finish(f"C {strength:g} chosen on dev")
    splits = {"dev": (dev, dev_guess)}
    if "test" in task.splits:
        test = read_rows(task_dir, "test")
        splits["test"] = (test, _predict(task, model, vectorizer.transform(_texts(test))))
    return write_evaluation(
        destination,
        run=run,
        task=task,
        splits=splits,
        flops={"parameters": None, "data": None, "stage1": None, "stage2": None},
        timing={"train_seconds": round(seconds, 3)},
        parameters={
            "method": "tfidf",
            "spec": spec.model_dump(mode="json"),
            "strength": strength,
            "features": len(vectorizer.vocabulary_),
        },
        inputs={},
    )


def _texts(rows: SplitRows) -> list[str]:
    """One text per row; the two texts of a pair are joined."""
    if rows.pairs is None:
        return rows.texts
    return [f"{text} {pair}" for text, pair in zip(rows.texts, rows.pairs, strict=True)]


def _fit(task: TaskInfo, spec: TfidfSpec, strength: float, features: csr_matrix, labels: list[Any]) -> Any:
    if task.regression:
        return Ridge(alpha=1 / strength, solver="sparse_cg", max_iter=spec.iterations).fit(features, labels)
    model = LogisticRegression(C=strength, max_iter=spec.iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return model.fit(features, labels)
        except ConvergenceWarning:
            raise TlmError(
                f"task {task.name}: logistic regression with C = {strength:g} did not converge in "
                f"{spec.iterations} iterations; raise tfidf iterations or leave this C out"
            ) from None


def _predict(task: TaskInfo, model: Any, features: csr_matrix) -> Predictions:
    if task.regression:
        return as_predictions(task, np.asarray(model.predict(features)).reshape(-1, 1))
    chances = model.predict_proba(features)
    # The columns are the classes of the training rows; every other class of the task gets probability 0.
    full = np.full((chances.shape[0], len(task.labels)), -np.inf)
    full[:, [task.labels.index(name) for name in model.classes_]] = np.log(np.maximum(chances, 1e-300))
    return as_predictions(task, full)

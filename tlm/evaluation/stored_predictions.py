"""Reads `predictions.parquet` of an evaluation: the labels, predictions and probabilities of one split.

Place in the flow: evaluations → here → tables of differences, calibration and the report of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.errors import TlmError
from tlm.problems import MULTI_LABEL

if TYPE_CHECKING:  # NumPy loads on use: most readers of evaluations need no predictions
    import numpy as np


@dataclass(frozen=True)
class SplitPredictions:
    """Stored predictions of one split.

    `labels` and `predictions` (rows,) are names or numbers, or indicators (rows, labels) where a row has several
    labels; `probabilities` (rows, labels) are None for regression.
    """

    row_ids: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    probabilities: np.ndarray | None

    def scored(self, metric: str) -> np.ndarray:
        """The array that `metric` compares with `labels`."""
        return scored(metric, self.predictions, self.probabilities)


def scored(metric: str, predictions: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    """What `metric` compares with the labels: predictions, or probabilities for a metric of ranking."""
    from tlm.metrics import RANKING_METRICS

    if metric not in RANKING_METRICS:
        return predictions
    assert probabilities is not None
    return probabilities


def read_predictions(
    path: Path, split: str, labels: Sequence[str], task: str = "the task"
) -> SplitPredictions:
    """One split of a `predictions.parquet`; `labels` in the order of the probabilities.

    Raises TlmError if the file is missing or has no rows of `split`.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, filters=[("split", "=", split)])
    except FileNotFoundError:
        raise TlmError(f"{path}: missing; delete {path.parent} and evaluate again") from None
    if not table.num_rows:
        raise TlmError(f"{path}: {task} has no {split} split; use another split")
    probabilities = None
    if "probabilities" in table.column_names:
        flat = table["probabilities"].combine_chunks().flatten().to_numpy()
        probabilities = flat.reshape(table.num_rows, -1).astype(np.float64)
    many = pa.types.is_list(table["label"].type)
    truth, guess = (
        MULTI_LABEL.array(each, labels) if many else np.array(each)
        for each in (table["label"].to_pylist(), table["prediction"].to_pylist())
    )
    return SplitPredictions(table["row_id"].to_numpy(), truth, guess, probabilities)

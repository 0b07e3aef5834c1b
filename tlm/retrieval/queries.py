"""Queries: one per training text and per unlabelled text of the task, never of dev or test (Section 3.1).

Method `text` uses the whole text; `rake` uses the best phrases of long texts, as the paper does for Helpfulness.
(`top_terms` leaves the choice of terms to the engine, which knows their document frequencies.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import read_manifest
from tlm.config.retrieval import QuerySpec
from tlm.errors import TlmError
from tlm.layout import UNLABELLED
from tlm.retrieval.analyser import analyse
from tlm.retrieval.stop_words import NLTK_ENGLISH
from tlm.text import sentences


class QueryFailed(TlmError):
    """Raised for a query that an engine could not answer; `query` is its index in the batch of texts."""

    def __init__(self, query: int, message: str) -> None:
        super().__init__(message)
        self.query = query


@dataclass(frozen=True)
class TrainingTexts:
    """Texts of a task's training split and its unlabelled texts, their row ids, and the digest of the task."""

    ids: np.ndarray
    texts: pa.Array
    task: str


def training_texts(task_dir: Path) -> TrainingTexts:
    """Read the training split and the unlabelled texts; a pair's second text is appended to the first.

    Raises TlmError if the training split is empty or shares a row id with dev or test.
    """
    manifest = read_manifest(task_dir, "task")
    path = task_dir / "train.parquet"
    table = pq.read_table(path)
    if table.num_rows == 0:
        raise TlmError(f"{path}: no training rows, so there are no queries")
    ids = table["row_id"].to_numpy()
    for split in (each for each in ("dev", "test") if f"{each}.parquet" in manifest.files):
        others = pq.read_table(task_dir / f"{split}.parquet", columns=["row_id"])["row_id"].to_numpy()
        if shared := np.intersect1d(ids, others)[:1].tolist():
            raise TlmError(f"{path}: row_id {shared[0]} is also in {split}.parquet; build the task again")
    if f"{UNLABELLED}.parquet" in manifest.files:
        more = pq.read_table(task_dir / f"{UNLABELLED}.parquet")
        table = pa.concat_tables([table.select(more.column_names), more])
        ids = table["row_id"].to_numpy()
    texts = table["text"].cast(pa.large_string())
    if "text_pair" in table.column_names:
        pairs = table["text_pair"].cast(pa.large_string())
        texts = pc.binary_join_element_wise(texts, pairs, pa.scalar(" ", pa.large_string()))
    return TrainingTexts(ids, texts.combine_chunks(), manifest.digest)


def query_texts(texts: pa.Array, spec: QuerySpec) -> tuple[pa.Array, dict[str, int]]:
    """The query texts, and counts of the texts that were shortened, could not be, or find nothing (`drop_over`)."""
    counts: dict[str, int] = {}
    if spec.mode == "rake" and mean_words(texts) >= spec.mean_words:
        texts, counts = _shortened(texts, spec)
    if spec.drop_over is not None:
        dropped = np.diff(analyse(texts).starts) > spec.drop_over
        texts = pc.if_else(pa.array(~dropped), texts, pa.scalar("", pa.large_string()))
        counts["queries_dropped"] = int(dropped.sum())
    return texts, counts


def mean_words(texts: pa.Array) -> float:
    """Words of a text on average; 0 without texts."""
    if not len(texts):
        return 0.0
    return float(
        pc.mean(pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts)))).as_py()
    )


def _shortened(texts: pa.Array, spec: QuerySpec) -> tuple[pa.Array, dict[str, int]]:
    """Long texts as their best phrases. A text of stop words alone has no phrases: it stays whole and is counted."""
    out, shortened, without = [], 0, 0
    for text in texts.to_pylist():
        long = len(text.split()) > spec.above_words
        phrases = rake(text, spec.phrases, spec.stop_words) if long else None
        shortened += bool(phrases)
        without += phrases == ""
        out.append(phrases or text)
    counts = {"queries_shortened": shortened, "queries_without_phrases": without}
    return pa.array(out, pa.large_string()), counts


def rake(text: str, phrases: int, stop_words: Literal["sklearn", "nltk"] = "sklearn") -> str:
    """The best `phrases` phrases of `text` by RAKE, joined; empty if there are none.

    rake-nltk would download NLTK's stop words and sentence splitter, so it gets a list and the splitter of `tlm.text`
    (`bench/rake.py` measures the difference).
    """
    from rake_nltk import Rake  # slow to import with NLTK, and only this method needs it

    extractor = Rake(stopwords=_stop_words(stop_words), sentence_tokenizer=sentences)
    extractor.extract_keywords_from_text(text)
    return " ".join(extractor.get_ranked_phrases()[:phrases])


def _stop_words(name: Literal["sklearn", "nltk"]) -> set[str]:
    if name == "nltk":
        return set(NLTK_ENGLISH)
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # slow to import

    return set(ENGLISH_STOP_WORDS)

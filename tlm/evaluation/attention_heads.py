"""Positional and vertical heads: the definitions, counts over a sample of texts, and their intervals.

Place in the flow: `tlm.evaluation.attention_weights` runs a model and passes its weights to this module. Figures and
`results/attention.csv` read the artifact. This module imports no model library, so drawing starts fast.

Section 4.4.1: a head is *positional* if at least 90 % of its maximum attention weights fall on adjacent tokens
(Voita et al. 2019), *vertical* if more than 90 % fall on [CLS], [SEP] or the period (Kovaleva et al. 2019).
The paper leaves some details open; we decide them so:

- Each query token has one maximum, over all keys, special tokens included. If several keys share it, each gets
  an equal part, so equal attention to all keys is neither positional nor vertical.
- Adjacent tokens are the one before and the one after. (Voita et al. require the same side for all tokens; the
  table has separate columns `previous` and `next`, from which their stricter definition can be computed.)
- [CLS] and [SEP] are keys but not queries, because each has only one neighbour: in a sentence of eight tokens,
  a head that always attends to the next token would reach less than 90 % because of the last token.
- A maximum on a neighbour that is [CLS], [SEP] or a period counts as positional and as vertical.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from tlm.artifacts import Manifest, read_manifest, staged_directory, write_json, write_manifest
from tlm.errors import TlmError

KIND = "attention"
POSITIONAL = 0.9  # at least
VERTICAL = 0.9  # more than
_SLACK = 1e-9  # shares are ratios of sums: 0.9 must not depend on the order of the additions
KINDS = ("previous", "next", "vertical")
LEVEL = 0.95  # of all intervals


@dataclass(frozen=True)
class Hits:
    """Maxima per text and kind: `where[kind]` is (texts, layers, heads), out of `queries` (texts,)."""

    queries: np.ndarray
    where: dict[str, np.ndarray]

    @property
    def positional(self) -> np.ndarray:
        """Maxima on either neighbour, (texts, layers, heads)."""
        return self.where["previous"] + self.where["next"]

    @property
    def vertical(self) -> np.ndarray:
        """Maxima on [CLS], [SEP] or a period, (texts, layers, heads)."""
        return self.where["vertical"]


@dataclass(frozen=True)
class AttentionExample:
    """One sentence: its tokens, the weights (layers, heads, queries, keys), and the kinds of its tokens."""

    sentence: str
    tokens: tuple[str, ...]
    weights: np.ndarray
    special: np.ndarray  # (tokens,) bool: [CLS] and [SEP]
    vertical: np.ndarray  # (tokens,) bool: [CLS], [SEP] and periods

    @property
    def hits(self) -> Hits:
        """Its maxima, as a sample of one text."""
        return stack([count(self.weights, queries=~self.special, targets=self.vertical)])


@dataclass(frozen=True)
class AttentionArtifact:
    """The heads of one trained model, read back."""

    folder: Path
    task: str
    task_digest: str
    variant: str
    seed: int
    spec: dict[str, Any]  # the `HeadsSpec` of the measurement
    hits: Hits
    examples: dict[str, AttentionExample]

    @property
    def resampling(self) -> tuple[int, int]:
        """Seed and number of resamples."""
        return self.spec["seed"], self.spec["resamples"]


def count(
    weights: np.ndarray, *, queries: np.ndarray, targets: np.ndarray
) -> tuple[int, dict[str, np.ndarray]]:
    """Maxima of one text: the number of query tokens, and kind → (layers, heads) maxima on keys of that kind.

    `weights` is (layers, heads, tokens, tokens), query by key; `queries` and `targets` are (tokens,) bool:
    which rows count, and which keys are [CLS], [SEP] or a period. Raises TlmError if a weight is not a number.
    """
    if not np.isfinite(weights).all():
        raise TlmError("attention weights are not finite numbers: the model has diverged; train it again")
    best = weights == weights.max(axis=-1, keepdims=True)
    part = best / best.sum(axis=-1, keepdims=True)
    where = {
        "previous": np.diagonal(part, -1, -2, -1)[..., queries[1:]].sum(axis=-1),
        "next": np.diagonal(part, 1, -2, -1)[..., queries[:-1]].sum(axis=-1),
        "vertical": part[..., queries, :][..., targets].sum(axis=(-2, -1)),
    }
    return int(queries.sum()), where


def stack(texts: list[tuple[int, dict[str, np.ndarray]]]) -> Hits:
    """The counts of several texts as one. Raises TlmError if none of them has a token."""
    hits = Hits(
        np.array([queries for queries, _ in texts], np.float64),
        {kind: np.stack([where[kind] for _, where in texts]) for kind in KINDS},
    )
    if not hits.queries.sum():
        raise TlmError("no text holds a token besides [CLS] and [SEP]; there is nothing to count")
    return hits


def shares(part: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """(texts, layers, heads) maxima → (layers, heads) shares of all maxima of the sample."""
    return part.sum(axis=0) / queries.sum()


def is_positional(share: np.ndarray) -> np.ndarray:
    """At least 90 %."""
    return share >= POSITIONAL - _SLACK


def is_vertical(share: np.ndarray) -> np.ndarray:
    """More than 90 %."""
    return share > VERTICAL + _SLACK


def resampled_shares(part: np.ndarray, queries: np.ndarray, resampling: tuple[int, int]) -> np.ndarray:
    """Shares in resamples of the texts, (resamples, layers, heads).

    Models with the same texts get the same resamples, so that their differences are paired.
    """
    seed, resamples = resampling
    texts = len(queries)
    draws = np.random.default_rng(seed).multinomial(texts, np.full(texts, 1 / texts), size=resamples)
    total = draws @ queries
    # A resample that holds empty texts alone has no maxima: all its shares count as 0.
    return (draws @ part.reshape(texts, -1) / np.maximum(total, 1)[:, None]).reshape(-1, *part.shape[1:])


def interval(values: np.ndarray) -> tuple[Any, Any]:
    """The 95 % percentile interval along the first axis."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail], axis=0)
    return low, high


def write_attention(
    destination: Path,
    hits: Hits,
    examples: dict[str, AttentionExample],
    *,
    resampling: tuple[int, int],
    parameters: dict[str, Any],
    inputs: dict[str, str],
) -> Manifest:
    """Write the artifact: `heads.parquet` (a row per head), `hits.safetensors`, `examples.{json,safetensors}`."""
    with staged_directory(destination) as folder:
        table = head_table(hits, resampling)
        pq.write_table(table, folder / "heads.parquet")
        save_file({"queries": hits.queries, **hits.where}, folder / "hits.safetensors")
        save_file({name: each.weights for name, each in examples.items()}, folder / "examples.safetensors")
        write_json(folder / "examples.json", {name: _described(each) for name, each in examples.items()})
        return write_manifest(
            folder,
            KIND,
            counts={
                "texts": len(hits.queries),
                "maxima": int(hits.queries.sum()),
                "heads": table.num_rows,
                "positional": sum(table["is_positional"].to_pylist()),
                "vertical": sum(table["is_vertical"].to_pylist()),
            },
            parameters=parameters,
            inputs=inputs,
        )


def head_table(hits: Hits, resampling: tuple[int, int]) -> pa.Table:
    """A row per head, layers and heads counted from 1: shares of its maxima with 95 % intervals, and its kinds."""
    layers, heads = hits.vertical.shape[1:]
    columns: dict[str, Any] = {
        "layer": np.repeat(np.arange(1, layers + 1), heads),
        "head": np.tile(np.arange(1, heads + 1), layers),
        "previous": shares(hits.where["previous"], hits.queries).ravel(),
        "next": shares(hits.where["next"], hits.queries).ravel(),
    }
    for name, part in (("positional", hits.positional), ("vertical", hits.vertical)):
        low, high = interval(resampled_shares(part, hits.queries, resampling))
        columns[name] = shares(part, hits.queries).ravel()
        columns[f"{name}_low"], columns[f"{name}_high"] = low.ravel(), high.ravel()
    columns["is_positional"] = is_positional(columns["positional"])
    columns["is_vertical"] = is_vertical(columns["vertical"])
    return pa.table(columns)


def read_attention(path: Path) -> AttentionArtifact:
    """Open an attention artifact by its folder or manifest. Raises TlmError for any other artifact."""
    manifest = read_manifest(path, KIND)
    folder = path if path.is_dir() else path.parent
    arrays = load_file(folder / "hits.safetensors")
    weights = load_file(folder / "examples.safetensors")
    described = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    given = manifest.parameters
    return AttentionArtifact(
        folder=folder,
        task=given["task"],
        task_digest=manifest.inputs["task"],
        variant=given["variant"],
        seed=given["seed"],
        spec=given["spec"],
        hits=Hits(arrays["queries"], {kind: arrays[kind] for kind in KINDS}),
        examples={
            name: AttentionExample(
                sentence=each["sentence"],
                tokens=tuple(each["tokens"]),
                weights=weights[name],
                special=np.array(each["special"], bool),
                vertical=np.array(each["vertical"], bool),
            )
            for name, each in described.items()
        },
    )


def _described(example: AttentionExample) -> dict[str, Any]:
    return {
        "sentence": example.sentence,
        "tokens": list(example.tokens),
        "special": example.special.tolist(),
        "vertical": example.vertical.tolist(),
    }

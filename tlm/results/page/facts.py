"""What a page says beside its scores: the task's rows, the corpus, what each method cost, settings, learning curves.

Place in the flow: manifests and records of what the runs were made from → `report.Report`. Nothing is computed here
that an artifact already says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import tlm
from tlm.artifacts import read_manifest
from tlm.config.data import Split
from tlm.results.benchmarks import read_benchmark
from tlm.results.page.report import Contamination, Corpus, Cost, Curve, Data, Lengths
from tlm.results.page.runs import MethodRuns, ScoredRun
from tlm.training.tokens import open_split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def data(task_dir: Path, tokens_dir: Path, length: int) -> Data:
    """The task's rows, as its manifest counts them; lengths from its tokens."""
    manifest = read_manifest(task_dir, "task")
    counts, spec = manifest.counts, manifest.parameters["spec"]
    splits = [split for split in SPLITS if f"{split}.parquet" in manifest.files]
    numbers = manifest.parameters["problem"] == "regression"
    return Data(
        description=spec.get("description", ""),
        pair=manifest.parameters["pair"],
        rows={split: counts["rows"][split] for split in splits},
        available={split: counts["rows_before_limit"][split] for split in splits},
        labels={} if numbers else {split: counts["labels"][split] for split in splits},
        values={split: _range(task_dir, split) for split in splits} if numbers else {},
        duplicates=counts["duplicates"],
        removed=counts["removed_for_straddling"],
        left_out=counts["left_out"],
        lengths={split: lengths(tokens_dir, split, length) for split in splits},
        length=length,
    )


def _range(task_dir: Path, split: str) -> tuple[float, float, float]:
    values = pq.read_table(task_dir / f"{split}.parquet", columns=["label"])["label"].to_pylist()
    return min(values), median(values), max(values)


def lengths(tokens_dir: Path, split: str, length: int) -> Lengths:
    """Tokens of a split's texts with [CLS] and [SEP]; of a pair together."""
    store = open_split(tokens_dir, split)
    tokens = np.diff(store.offsets) + (2 if store.middle is None else 3)
    return Lengths(
        median=int(np.median(tokens)),
        ninth=int(np.quantile(tokens, 0.9, method="higher")),
        longest=int(tokens.max()),
        cut=float((tokens > length).mean()),
    )


def corpus(
    corpus_dir: Path, retrieval_dir: Path, run: ScoredRun, *, k: int, benchmarks: Mapping[str, Path]
) -> Corpus:
    """The corpus, how it was asked, and what the shown run read of it."""
    manifest, retrieval = read_manifest(corpus_dir, "corpus"), read_manifest(retrieval_dir, "retrieval")
    taken = run.flops["data"] or {"passages": 0, "bytes": 0}
    return Corpus(
        name=manifest.parameters["corpus"],
        passages=manifest.counts["passages"],
        size=manifest.counts["bytes"],
        k=k,
        queries=retrieval.counts["queries"],
        without_result=retrieval.counts["queries_without_result"],
        selected=taken["passages"],
        selected_size=taken["bytes"],
        seconds={step: taken for step, path in benchmarks.items() if (taken := read_benchmark(path).seconds)},
    )


def contamination(audit_dir: Path) -> tuple[Contamination, ...]:
    """How many dev and test texts the passages share something with that TLM has read."""
    counts = read_manifest(audit_dir, "audit").counts
    return tuple(
        Contamination(
            split=split,
            rows=counts[split]["rows"],
            found=counts[split]["contaminated"],
            verbatim=counts[split]["verbatim"],
        )
        for split in SPLITS
        if split in counts
    )


def cost(method: MethodRuns) -> Cost:
    """What one run takes, mean over its seeds."""
    costs = [_cost(run) for run in method.runs]
    values = {name: [getattr(each, name) for each in costs] for name in Cost.model_fields}
    means = {name: None if None in found else fmean(found) for name, found in values.items()}
    whole = ("parameters", "tokens", "memory", "passages", "passage_bytes")
    return Cost(
        **{
            name: round(value) if name in whole and value is not None else value
            for name, value in means.items()
        }
    )


def _cost(run: ScoredRun) -> Cost:
    first, second = run.flops["stage1"], run.flops["stage2"]
    stages = [stage for stage in (first, second) if stage]
    memory = [stage.timing["peak_memory_bytes"] for stage in run.stages.values()]
    external = run.flops["data"]
    return Cost(
        parameters=run.flops["parameters"],
        tokens=first["tokens"]["real"] if first else None,
        flops=sum(stage["matmul"]["total"] for stage in stages) if stages else None,
        paper_flops=first["paper"] if first else None,
        seconds=run.seconds,
        memory=max(memory, default=None),
        passages=external["passages"] if external else None,
        passage_bytes=external["bytes"] if external else None,
    )


def stage1_curves(methods: Sequence[MethodRuns]) -> tuple[Curve, ...]:
    """Held-out loss of masked language modelling on dev texts, in nats, against the tokens of stage 1."""
    return _curves(methods, "stage1", "held_out", "held_out_mlm")


def stage2_curves(methods: Sequence[MethodRuns]) -> tuple[Curve, ...]:
    """The task's metric on dev against the tokens of stage 2."""
    return _curves(methods, "stage2", "dev", "dev_primary")


def _curves(methods: Sequence[MethodRuns], stage: str, measured: str, value: str) -> tuple[Curve, ...]:
    return tuple(
        Curve(
            method=method.spec.name,
            seed=run.seed,
            tokens=tuple(int(point["tokens"]) for point in run.stages[stage].record[measured]),
            values=tuple(float(point[value]) for point in run.stages[stage].record[measured]),
        )
        for method in methods
        for run in method.runs
        if stage in run.stages and run.stages[stage].record[measured]
    )


def settings(run: ScoredRun) -> dict[str, str]:
    """The shown run's specification, as dotted keys, stage 2's where both stages have one."""
    specs: dict[str, Any] = {}
    for stage in run.stages.values():
        specs |= {key: value for key, value in stage.manifest.parameters.items() if value is not None}
    return dict(_dotted(specs))


def _dotted(value: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            pair
            for name, each in value.items()
            for pair in _dotted(each, f"{key}.{name}" if key else name)
            if each is not None
        ]
    if isinstance(value, list):
        return [(key, ", ".join(map(str, value)))]
    return [(key, str(value))]


def versions(run: ScoredRun) -> dict[str, str]:
    """What trained the shown run, and on what."""
    found = {"tlm": tlm.__version__}
    for stage in run.stages.values():
        found |= {name: str(value) for name, value in stage.record["environment"].items()}
    return found

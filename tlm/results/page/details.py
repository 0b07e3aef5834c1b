"""Everything on the page except scores: the task's rows, the corpus, costs of methods, settings, learning curves.

Place in the flow: manifests and records of the runs' inputs → `task_report.TaskReport`.
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
from tlm.config.parser_specs import Split
from tlm.config.training import Optimizer
from tlm.problems import PROBLEMS
from tlm.results.benchmarks import read_benchmark
from tlm.results.loss_forecast import loss_drop, plateau
from tlm.results.page.data_report import Contamination, CorpusSummary, DataSummary, Lengths
from tlm.results.page.scored_runs import MethodRuns, ScoredRun
from tlm.results.page.task_report import Curve, MethodCost, MoreTime, NumberWithInterval
from tlm.training.tokens import open_split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def data(task_dir: Path, tokens_dir: Path, length: int) -> DataSummary:
    """The task's rows, as counted in its manifest; lengths from its tokens."""
    manifest = read_manifest(task_dir, "task")
    counts, spec = manifest.counts, manifest.parameters["spec"]
    splits = [split for split in SPLITS if f"{split}.parquet" in manifest.files]
    numbers = not PROBLEMS[manifest.parameters["problem"]].has_labels
    return DataSummary(
        description=spec.get("description", ""),
        pair=manifest.parameters["pair"],
        rows={split: counts["rows"][split] for split in splits},
        available={split: counts["rows_before_limit"][split] for split in splits},
        labels={} if numbers else {split: counts["labels"][split] for split in splits},
        values={split: _range(task_dir, split) for split in splits} if numbers else {},
        label_sets={split: counts["label_sets"][split] for split in splits} if "label_sets" in counts else {},
        duplicates=counts["duplicates"],
        removed=counts["removed_for_straddling"],
        left_out=counts["left_out"],
        unlabelled=counts.get("unlabelled", {}).get("rows", 0),
        unlabelled_left_out=counts.get("unlabelled", {}).get("left_out", {}),
        lengths={split: lengths(tokens_dir, split, length) for split in splits},
        length=length,
    )


def _range(task_dir: Path, split: str) -> tuple[float, float, float]:
    values = pq.read_table(task_dir / f"{split}.parquet", columns=["label"])["label"].to_pylist()
    return min(values), median(values), max(values)


def lengths(tokens_dir: Path, split: str, length: int) -> Lengths:
    """Lengths of a split's texts in tokens, with [CLS] and [SEP]; the two texts of a pair count together."""
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
) -> CorpusSummary:
    """The corpus, its retrieval, and the passages that the shown run read."""
    manifest, retrieval = read_manifest(corpus_dir, "corpus"), read_manifest(retrieval_dir, "retrieval")
    taken = run.flops["data"] or {"passages": 0, "bytes": 0}
    return CorpusSummary(
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
    """How many dev and test texts share words with passages that TLM read."""
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


def cost(method: MethodRuns) -> MethodCost:
    """The cost of one run, mean over seeds."""
    costs = [_cost(run) for run in method.runs]
    values = {name: [getattr(each, name) for each in costs] for name in MethodCost.model_fields}
    means = {name: None if None in found else fmean(found) for name, found in values.items()}
    whole = ("parameters", "tokens", "memory", "passages", "passage_bytes")
    return MethodCost(
        **{
            name: round(value) if name in whole and value is not None else value
            for name, value in means.items()
        }
    )


def _cost(run: ScoredRun) -> MethodCost:
    first, second = run.flops["stage1"], run.flops["stage2"]
    stages = [stage for stage in (first, second) if stage]
    memory = [stage.timing["peak_memory_bytes"] for stage in run.stages.values()]
    external = run.flops["data"]
    return MethodCost(
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


def more_time(run: ScoredRun) -> MoreTime | None:
    """What twice the tokens of stage 1 would bring; None if its record does not show it."""
    stage = run.stages.get("stage1")
    if stage is None or not stage.record["held_out"]:
        return None
    optimizer = Optimizer.model_validate(stage.manifest.parameters["stage1"]["optimizer"])
    steps, cuts = int(stage.manifest.counts["steps"]), stage.record.get("cuts") or []
    history = [(each["step"], each["tokens"], each["held_out_mlm"]) for each in stage.record["held_out"]]
    curve = plateau(optimizer, steps, history, decay_start=cuts[0][0] if cuts else None)
    if curve is None:
        return None
    found, (_, tokens, loss) = loss_drop(curve), history[-1]
    pace = float(stage.timing["train_seconds"]) / tokens
    return MoreTime(
        loss=loss,
        drop=NumberWithInterval(value=found.value, low=found.interval.low, high=found.interval.high),
        tokens=2 * tokens,
        seconds=(2 * tokens - curve.kept) * pace,
    )


def settings(run: ScoredRun) -> dict[str, str]:
    """The shown run's specification as dotted keys; for keys of both stages, the value of stage 2."""
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
    """Versions and processor of the training of the shown run."""
    found = {"tlm": tlm.__version__}
    for stage in run.stages.values():
        found |= {name: str(value) for name, value in stage.record["environment"].items()}
    return found

"""Learning efficiency: tokens and minutes to reach a held-out MLM loss, for the paper's recipe and for ours.

    python bench/efficiency.py [--data data] [--work runs/efficiency] [--target 4.5] [--threads 1]

All recipes pretrain a 4 x 256 encoder on the demo corpus with the same loop, tokenizer, batches and masks (MLM alone:
rho1 = inf); they differ only in the settings of `RECIPES`. The held-out passages are 16 groups of 32 neighbouring
passages, spread evenly over the corpus; they are neighbours so that few documents are in both training and held-out
data. A recipe ends at its first evaluation that is not above the target, or when its tokens are used up. Minutes are
CPU time of the process, so other work on the machine changes them little. They begin with the preparation of the first
step, and include the initialisation of the embeddings and the evaluations.

The script can be killed and run again: it reuses finished recipes and continues an interrupted recipe from its last
checkpoint. It writes `efficiency.csv` and `efficiency.md` to the work folder and prints JSON as its last line.
"""

import argparse
import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tlm.artifacts import read_manifest, staged_directory, write_manifest
from tlm.config.training import RunSpec
from tlm.training.execution import Execution
from tlm.training.stage1 import run_stage1
from tlm.training.tokens import tokenize_selection

LENGTH, LAYERS, HIDDEN = 128, 4, 256
BLOCKS, NEIGHBOURS = 16, 32  # held-out passages: BLOCKS · NEIGHBOURS

BERT: dict[str, Any] = {"architecture": "bert", "intermediate_size": 4 * HIDDEN}
OURS: dict[str, Any] = {
    "architecture": "modernbert",
    "intermediate_size": 3 * HIDDEN // 2,
    "pooling": "mean",
    "embedding_init": "cooccurrence",
}
# Table B.1: AdamW at 1e-4, weight decay 0.01, linear warm-up (10 k of 100 k steps) and linear decay, batches of 256.
PRINTED = {"learning_rate": 1e-4, "warmup_fraction": 0.1}
# config/scales/mini.yaml
MINI = {"learning_rate": 1.5e-3, "betas": (0.9, 0.98), "warmup_fraction": 0.05, "decay_fraction": 0.6}


@dataclass(frozen=True)
class Recipe:
    """One row of the table: its label and its settings."""

    label: str
    model: dict[str, Any]
    optimizer: dict[str, Any]
    batch_size: int
    tokens: int
    """The budget. The schedule of the learning rate ends there, so it decides the rate of every step."""


RECIPES = {
    "printed": Recipe("as printed", BERT, PRINTED, 256, 6_000_000),
    "printed-tuned": Recipe(
        "as printed, batch and rate tuned", BERT, {**PRINTED, "learning_rate": 1e-3}, 16, 6_000_000
    ),
    "random-start": Recipe(
        "ours, embeddings start at random", {**OURS, "embedding_init": "random"}, MINI, 16, 4_000_000
    ),
    "ours": Recipe("ours", OURS, MINI, 16, 2_000_000),
    # At AdamW's rate, Muon learns less from the same tokens (docs/training.md).
    "muon": Recipe("ours with Muon", OURS, {**MINI, "kind": "muon", "learning_rate": 4e-3}, 16, 2_000_000),
}


@dataclass(frozen=True)
class Row:
    """The tokens and minutes until a recipe reached the target, or its state at the end of its budget."""

    recipe: str
    reached: bool
    tokens: int
    minutes: float
    loss: float


def prepare(data: Path, work: Path) -> tuple[Path, Path, Path]:
    """Folders of the training tokens, the held-out tokens (the dev split of a task), and the tokenizer."""
    corpus, tokenizer = data / "corpora/demo", data / "tokenizers/demo-wordpiece-8192"
    training, held_out = work / "training-tokens", work / "held-out-tokens"
    if not (held_out / "manifest.json").is_file():
        passages = pa.concat_tables(pq.read_table(part) for part in sorted(corpus.glob("part-*.parquet")))
        starts = np.linspace(0, len(passages) - NEIGHBOURS, BLOCKS).astype(np.int64)
        chosen = (starts[:, None] + np.arange(NEIGHBOURS)).ravel()
        inside = pc.is_in(passages["passage_id"], pa.array(chosen))
        _tokenize(passages.filter(pc.invert(inside)), corpus, tokenizer, training)
        _tokenize(passages.filter(inside), corpus, tokenizer, work / "held-out")
        with staged_directory(held_out) as folder:
            read = read_manifest(work / "held-out", "tokens")
            (folder / "dev").mkdir()
            for name in ("tokens.npy", "offsets.npy"):
                (folder / "dev" / name).write_bytes((work / "held-out" / name).read_bytes())
            write_manifest(
                folder, "tokens", counts=read.counts, parameters=read.parameters, inputs=read.inputs
            )
    return training, held_out, tokenizer


def _tokenize(passages: pa.Table, corpus: Path, tokenizer: Path, destination: Path) -> None:
    if (destination / "manifest.json").is_file():
        return
    part = destination.with_name(f"{destination.name}-passages")
    with staged_directory(part) as folder:
        pq.write_table(passages, folder / "passages.parquet")
        inputs = {"corpus": read_manifest(corpus, "corpus").digest}
        write_manifest(folder, "selection", counts={"passages": len(passages)}, parameters={}, inputs=inputs)
    tokenize_selection(part, tokenizer, destination, LENGTH)


def specification(recipe: Recipe, evaluate_every: int, seed: int) -> RunSpec:
    """The recipe as a run of stage 1."""
    shape = {"hidden_size": HIDDEN, "layers": LAYERS, "heads": HIDDEN // 64, "max_length": LENGTH}
    stage1 = {
        "rho1": "inf",
        "rho2": 0,
        "budget": {"tokens": recipe.tokens},
        "batch_size": recipe.batch_size,
        "internal_length": LENGTH,
        "external_length": LENGTH,
        "optimizer": recipe.optimizer,
        "evaluations": round(recipe.tokens / evaluate_every),
        "checkpoint_every": max(1, 3200 // recipe.batch_size),
    }
    return RunSpec.model_validate({"seed": seed, "model": {**shape, **recipe.model}, "stage1": stage1})


def measure(
    name: str, spec: RunSpec, data: tuple[Path, Path, Path], folder: Path, target: float, threads: int
) -> Row:
    """Train the recipe unless it is finished already, and read its tokens, minutes and loss."""
    training, held_out, tokenizer = data
    if not (folder / "manifest.json").is_file():
        run_stage1(
            spec,
            None,
            training,
            tokenizer,
            folder,
            held_out_tokens=held_out,
            until=target,
            execution=Execution(threads=threads, cpu=True),
        )
    last = json.loads((folder / "record.json").read_text())["held_out"][-1]
    seconds = json.loads((folder / "timing.json").read_text())["train_cpu_seconds"]
    return Row(
        name, last["held_out_mlm"] <= target, last["tokens"], round(seconds / 60, 2), last["held_out_mlm"]
    )


def table(rows: list[Row], target: float) -> str:
    """The table in Markdown; ratios are relative to the recipe `ours` if it reached the target."""
    ours = next((row for row in rows if row.recipe == "ours" and row.reached), None)
    lines = [
        f"| recipe | tokens to {target} | CPU minutes | tokens, ours = 1 | minutes, ours = 1 |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        sign = "" if row.reached else "> "
        tokens = f"{row.tokens / 1e6:.2f} M"
        if not row.reached:
            tokens = f"not in {tokens} ({row.loss:.2f})"
        ratios = ["–", "–"]
        if ours is not None:
            ratios = [
                f"{sign}{row.tokens / ours.tokens:.2f}",
                f"{sign}{row.minutes / ours.minutes:.2f}",
            ]
        lines.append(
            f"| {RECIPES[row.recipe].label} | {tokens} | {sign}{row.minutes:.1f} | {' | '.join(ratios)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train the recipes that are not finished, write the table, and print it and its JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="has corpora/demo and tokenizers/")
    parser.add_argument("--work", type=Path, default=Path("runs/efficiency"), help="kept between calls")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--target", type=float, default=4.5, help="held-out MLM loss in nats")
    parser.add_argument("--max-tokens", type=float, default=math.inf, help="upper limit for every recipe")
    parser.add_argument("--evaluate-every", type=int, default=100_000, help="tokens between two evaluations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    data = prepare(args.data, args.work)
    rows = []
    for name in args.recipes:
        recipe = RECIPES[name]
        tokens = int(min(recipe.tokens, args.max_tokens))
        spec = specification(
            Recipe(recipe.label, recipe.model, recipe.optimizer, recipe.batch_size, tokens),
            args.evaluate_every,
            args.seed,
        )
        folder = args.work / f"{name}-{args.target}-{tokens}-seed{args.seed}"
        rows.append(measure(name, spec, data, folder, args.target, args.threads))
    text = table(rows, args.target)
    (args.work / "efficiency.md").write_text(text)
    with (args.work / "efficiency.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(vars(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(vars(row) for row in rows)
    print(text)
    print(json.dumps({row.recipe: {**vars(row), "recipe": RECIPES[row.recipe].label} for row in rows}))


if __name__ == "__main__":
    main()

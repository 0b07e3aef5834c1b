"""Trials of the training recipe: dev score and held-out MLM loss under changed settings, over tasks and seeds.

    python bench/recipe.py NAME [--scale demo] [--tasks bbc-news] [--seeds 1 2 3] [--set stage2.length=512 …]
                           [--config 'local_tasks={…}'] [--work runs/recipe] [--log docs/log.md]

`--set` changes a key of the scale, as `overrides:` of config/config.yaml does; `--config` sets a key of config.yaml.
Snakemake first builds the tokens that the runs read. Then stage 1 and stage 2 of every task and seed are trained here,
one after the other on one thread. The test split is never read. A trained stage is kept under `--work` by its
specification, so a trial that changes stage 2 alone trains stage 2 alone, and a killed trial goes on where it stopped.

Prints one Markdown row and, as the last line, JSON; `--log` appends the row to a file.
"""

import argparse
import hashlib
import json
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tlm import layout
from tlm.artifacts import MANIFEST, canonical_json
from tlm.cost.jobs import read_project
from tlm.plan import runs
from tlm.training.stage1 import run_stage1
from tlm.training.stage2 import run_stage2


def nested(assignments: list[str]) -> dict[str, Any]:
    """`stage2.length=512` → `{"stage2": {"length": 512}}`; a value that is no JSON is a word."""
    found: dict[str, Any] = {}
    for assignment in assignments:
        key, value = assignment.split("=", 1)
        *parents, last = key.split(".")
        here = found
        for parent in parents:
            here = here.setdefault(parent, {})
        try:
            here[last] = json.loads(value)
        except json.JSONDecodeError:
            here[last] = value
    return found


def digest(*parts: Any) -> str:
    """A short name for what decides a trained stage."""
    return hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:16]


def trained(run: Any, work: Path) -> tuple[float, float]:
    """Dev score in per cent and held-out MLM loss of a run, trained where no earlier trial has trained the same."""
    tokens, external = Path(run.internal_tokens), run.external_tokens
    tokenizer = Path(layout.TOKENIZER.format(tokenizer=run.tokenizer))
    spec = run.spec.model_copy(update={"stage2": None})
    name = digest(spec.model_dump(mode="json"), run.internal_tokens, external)
    stage1 = work / "stage1" / name
    if not (stage1 / MANIFEST).is_file():
        stage1.parent.mkdir(parents=True, exist_ok=True)
        run_stage1(spec, tokens, Path(external) if external else None, tokenizer, stage1)
    stage2 = work / "stage2" / digest(name, run.spec.stage2.model_dump(mode="json"))
    if not (stage2 / MANIFEST).is_file():
        stage2.parent.mkdir(parents=True, exist_ok=True)
        run_stage2(run.spec, stage1, tokens, tokenizer, stage2)
    best = json.loads((stage2 / "record.json").read_text())["best"]["dev_primary"]
    held_out = json.loads((stage1 / "record.json").read_text())["held_out"][-1]["held_out_mlm"]
    return 100 * best, held_out


def spread(values: list[float], digits: int) -> str:
    """`mean ± standard deviation`; the mean alone for one seed."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def main() -> None:
    """Train the runs of one trial and print their scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="what the trial changes, in a few words")
    parser.add_argument("--scale", default="demo", help="a scale of config/scales/ (default: demo)")
    parser.add_argument("--tasks", nargs="+", help="tasks of the scale (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="training seeds")
    parser.add_argument("--variant", default="tlm", help="a variant of config/experiments.yaml")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings to change")
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="keys of config.yaml")
    parser.add_argument("--work", type=Path, default=Path("runs/recipe"), help="where stages are kept")
    parser.add_argument("--log", type=Path, help="a Markdown file that gets the row")
    args = parser.parse_args()

    config = [*args.config, f"scale={args.scale}"]
    project = read_project([*config, f"overrides={canonical_json(nested(args.set))}"])
    tasks = args.tasks or project.scale.tasks
    resolved = {
        task: [runs.resolve(project, task, args.variant, seed) for seed in args.seeds] for task in tasks
    }
    tokens = {run.internal_tokens for each in resolved.values() for run in each}
    tokens |= {run.external_tokens for each in resolved.values() for run in each if run.external_tokens}
    build = [sys.executable, "-m", "snakemake", *map(layout.manifest, sorted(tokens))]
    subprocess.run([*build, "--cores", "1", "--quiet", "all", "--config", *config], check=True)

    scores = {task: [trained(run, args.work) for run in each] for task, each in resolved.items()}
    averages = [
        statistics.mean(scores[task][number][0] for task in tasks) for number in range(len(args.seeds))
    ]
    cells = [f"{task} {spread([dev for dev, _ in scores[task]], 1)}" for task in tasks]
    losses = [f"{spread([loss for _, loss in scores[task]], 2)}" for task in tasks]
    command = shlex.join([arg for arg in sys.argv[1:] if arg != str(args.log) and arg != "--log"])
    row = f"| {args.name} | `{command}` | {spread(averages, 2)} | {'; '.join(cells)} | {'; '.join(losses)} |"
    print(row)
    if args.log:
        with args.log.open("a", encoding="utf-8") as file:
            file.write(row + "\n")
    print(json.dumps({"name": args.name, "average": averages, "scores": scores}))


if __name__ == "__main__":
    main()

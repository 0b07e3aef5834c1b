"""FLOPs, sizes and hyper-parameters of the paper's scales, from config/, beside the numbers that the paper reports.

    python bench/scales.py [--scales small medium large] [--set stage1.rho2=7 …]

Nothing is downloaded or trained: models are built without memory for their weights. Prints Markdown and, as the last
line, JSON. The exit code is 1 if a number differs from the paper's in its printed digits; the parameters of the models
are shown and not compared, because the paper's 355 M is RoBERTa-Large's count.
"""

import argparse
import json
import math
import statistics
import sys
from typing import Any

import torch
from recipe import nested

from tlm.artifacts import canonical_json
from tlm.config.hyperparameters import STAGE1, STAGE2
from tlm.config.reported import Reported, load_reported
from tlm.config.training import Optimizer, paper_tokens
from tlm.cost.jobs import read_project
from tlm.evaluation.flops import paper_flops
from tlm.plan import runs
from tlm.plan.hyperparameters import scale_settings
from tlm.plan.project import Project
from tlm.results.hyperparameters import assemble
from tlm.results.rendering import markdown_rows
from tlm.training.model import TaskHead, TwoHeads, build_mlm, new_classifier, parameter_counts
from tlm.training.tokenizer import Vocabulary

BERT = Vocabulary(size=30_522, pad=0, cls=101, sep=102, mask=103, specials=(0, 100, 101, 102, 103))
AUTHORS = {  # their scripts for SciERC at the small scale; epsilon: their AdamW's default; they never clip
    "stage 1": Optimizer(
        learning_rate=1e-4, weight_decay=0.01, warmup_steps=10_000, epsilon=1e-6, max_grad_norm=None
    ),
    "stage 2": Optimizer(
        learning_rate=2e-5, weight_decay=0.0, warmup_steps=3_000, epsilon=1e-6, max_grad_norm=None
    ),
}


def parameters(project: Project) -> int:
    """Parameters of the scale's model with both heads, BERT's vocabulary and two classes."""
    spec = runs.resolve_reference(project, project.scale.tasks[0], project.seeds[0]).spec.model
    with torch.device("meta"):
        mlm = build_mlm(spec, BERT, attention="eager", seed=0)
        model = TwoHeads(mlm, new_classifier(mlm, TaskHead(("0", "1")), seed=0))
    return parameter_counts(model)["total"]


def compared(label: str, ours: float, paper: float, within: float) -> dict[str, Any]:
    """One line of the table of sizes; `within` is half of the last digit that the paper prints."""
    return {"what": label, "ours": ours, "reported": paper, "equal": abs(ours - paper) <= within}


def sizes(project: Project, reported: Reported) -> list[dict[str, Any]]:
    """Parameters, tokens, FLOPs and data of a scale, and the FLOPs of its rival."""
    scale = project.settings.scale
    printed = {name: cell.mean for name, cell in reported.tables["table2"].rows[f"tlm-{scale}"].cells.items()}
    stages = [
        runs.resolve_reference(project, task, project.seeds[0]).spec.stage1 for task in project.scale.tasks
    ]
    tokens = statistics.mean(stage.training_tokens for stage in stages)
    flops = paper_flops(tokens, printed["parameters"])
    data = statistics.mean(column.data for column in reported.hyperparameters[scale].values())
    rival = project.scale.compared_with
    pretraining = reported.pretraining[rival]
    theirs = reported.tables["table2"].rows[rival].cells["flops"].mean
    pretrained = sum(
        paper_tokens(steps=phase.steps, batch_size=phase.batch_size, length=phase.length)
        for phase in pretraining.phases
    )
    return [
        compared("parameters (not compared)", parameters(project), printed["parameters"], math.inf),
        compared("FLOPs of stage 1, mean over tasks", flops, printed["flops"], half(printed["flops"])),
        compared("bytes of data, mean of Table B.1", data, printed["data"], 0.005e9),
        compared(f"FLOPs of {rival}", paper_flops(pretrained, pretraining.parameters), theirs, half(theirs)),
        compared(f"FLOPs of {rival} over TLM's", theirs / flops, theirs / printed["flops"], 0.5),
    ]


def half(printed: float) -> float:
    """Half of the third significant digit, with a little slack for the division."""
    return 0.501 * 10.0 ** (math.floor(math.log10(printed)) - 2)


def optimizers(project: Project) -> list[dict[str, Any]]:
    """The settings of the optimizers in which a task differs from the authors' scripts, or one line if none does."""
    lines = []
    for name, authors in AUTHORS.items():
        for key, theirs in authors.model_dump().items():
            found = set()
            for task in project.scale.all_tasks:
                spec = runs.resolve_reference(project, task, project.seeds[0]).spec
                stage = spec.stage1 if name == "stage 1" else spec.stage2
                assert stage is not None
                found.add(str(stage.optimizer.model_dump()[key]))
            lines.append({"what": f"{name}: {key}", "ours": ", ".join(sorted(found)), "reported": theirs})
            lines[-1]["equal"] = found == {str(theirs)}
    return lines


def as_text(value: Any) -> str:
    """Sizes with four digits; settings as they are."""
    size = (isinstance(value, float) and value > 10) or (isinstance(value, int) and value > 10**6)
    return f"{value:.4g}" if size else str(value)


def main() -> None:
    """Print the tables of every scale."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scales", nargs="+", default=["small", "medium", "large"])
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings to change")
    args = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for scale in args.scales:
        project = read_project([f"scale={scale}", f"overrides={canonical_json(nested(args.set))}"])
        reported = load_reported(project.folder / "reported.yaml")
        lines = [*sizes(project, reported), *optimizers(project)]
        print(f"\n# {scale}\n")
        rows = [
            ["", "config/", "the paper or the authors' scripts (reported)", ""],
            ["---", "---:", "---:", "---"],
        ]
        for line in lines:
            marks = "" if line["equal"] else "**differs**"
            rows.append([line["what"], as_text(line["ours"]), as_text(line["reported"]), marks])
        print(markdown_rows(rows))
        for table in (STAGE1, STAGE2):
            settings = scale_settings(project, table, reported).settings
            print("\n" + assemble(table, settings, reported).markdown)
            names = (f"{table} {each.task}: {key}" for each in settings for key in each.differences)
            lines += [{"what": name, "equal": False} for name in names]
        found[scale] = lines
    differing = [
        f"{scale}: {line['what']}" for scale, lines in found.items() for line in lines if not line["equal"]
    ]
    print(json.dumps({"scales": found, "differences": differing}))
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()

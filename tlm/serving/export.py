"""Export a finished run as a folder that works without this project: weights, tokenizer, class names, model card.

Place in the flow: stage 2 and evaluation of all seeds → `models/<name>/`. The seed with the best dev score is exported,
the first of equals; test is not used. A temperature is fitted on dev and written into the weights, so that all software
gets calibrated probabilities. The folder loads with `transformers` alone; `manifest.json` lists its inputs and the
columns that `tlm predict` reads.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tlm.artifacts import (
    Manifest,
    read_manifest,
    staged_directory,
    write_json,
    write_manifest,
    write_text,
)
from tlm.errors import TlmError
from tlm.evaluation.artifact import PREDICTIONS, Evaluation, open_evaluation
from tlm.evaluation.temperature import fitted
from tlm.serving.card import card
from tlm.serving.card_facts import CardFacts, SeedScores
from tlm.serving.folder import CARD, CONFIG, FILES, KIND, THRESHOLDS, WEIGHTS, Columns
from tlm.serving.head import write_divided
from tlm.serving.predictors import exported_predictors
from tlm.serving.scores import model_scores


@dataclass(frozen=True)
class Candidate:
    """A trained seed: the artifact that holds its model, and its evaluation."""

    stage: Path
    made: Manifest
    evaluation: Evaluation

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.evaluation.run.seed

    @property
    def evaluated(self) -> Manifest:
        """The manifest of the evaluation."""
        return self.evaluation.manifest

    @property
    def model(self) -> Path:
        """The folder with the weights: of stage 2, or of stage 1's classifier in a run without stage 2."""
        return self.stage / ("model" if self.made.kind == "stage2" else "classifier")


def export_model(
    name: str,
    *,
    stages: Sequence[Path],
    evaluations: Sequence[Path],
    task_dir: Path,
    destination: Path,
    linear: Sequence[Path] = (),
    selection_dir: Path | None = None,
    corpus_dir: Path | None = None,
) -> Manifest:
    """Write the best of the seeds to `destination` as an artifact of kind `model`.

    `stages` are `stage2` artifacts (or `stage1`, of runs without stage 2); `evaluations` are theirs, in the same order.
    With evaluations of linear models (`linear`), the folder holds the best of them on dev too, and `tlm.json` names the
    predictor to use (`tlm.evaluation.blend`). `selection_dir` and `corpus_dir` are the inputs of stage 1, None if it
    read no passages. The manifest does not list the model card, so that users can edit it. Raises TlmError for
    evaluations of another task or of other models.
    """
    task = read_manifest(task_dir, "task")
    seeds = [_candidate(*folders) for folders in zip(stages, evaluations, strict=True)]
    for each in seeds:
        if each.evaluated.inputs["task"] != task.digest:
            raise TlmError(
                f"{each.evaluation.folder}: evaluated on other data than {task_dir}; evaluate again"
            )
    chosen = max(seeds, key=lambda each: each.evaluation.metrics["dev"]["primary"])
    labels = task.parameters["labels"]
    t = fitted(chosen.evaluation.folder / PREDICTIONS, labels) if labels else 1.0
    thresholds = _thresholds(chosen, labels, t)
    length = int(chosen.evaluated.parameters["length"])
    selection = None if selection_dir is None else read_manifest(selection_dir, "selection")
    corpus = None if corpus_dir is None else read_manifest(corpus_dir, "corpus")
    columns = _columns(task)
    digests = {f"seed{each.seed}": each.made.digest for each in seeds}
    digests |= {f"seed{each.seed}/evaluation": each.evaluated.digest for each in seeds}
    rivals = [open_evaluation(each) for each in linear]
    digests |= {f"linear/{each.run.variant}": each.manifest.digest for each in rivals}
    predictors = exported_predictors(task, chosen.evaluation, rivals) if rivals else None
    digests |= {role: found.digest for role, found in (("selection", selection), ("corpus", corpus)) if found}
    flops = chosen.evaluation.flops
    facts = CardFacts(
        name=name,
        task=task,
        pair=bool(task.parameters["pair"]),
        text=columns.text,
        length=length,
        recipe=chosen.made.parameters,
        selection=selection,
        corpus=corpus,
        flops=flops,
        seeds=tuple(
            SeedScores(each.seed, found["dev"]["primary"], found.get("test", {}).get("primary"))
            for each in seeds
            for found in [each.evaluation.metrics]
        ),
        chosen=chosen.seed,
        scores=model_scores(chosen.evaluation, task, t),
        thresholds=thresholds,
        evaluated=chosen.evaluated,
        predictors=predictors.described if predictors else None,
    )
    with staged_directory(destination) as folder:
        copy_model(chosen.model, folder, length, t, thresholds)
        if predictors:
            predictors.write(folder)
        write_text(folder / CARD, card(facts))
        return write_manifest(
            folder,
            KIND,
            counts={"parameters": flops["parameters"]},
            parameters={
                "name": name,
                **{key: chosen.evaluated.parameters[key] for key in ("scale", "task", "variant", "seed")},
                **{key: task.parameters[key] for key in ("problem", "labels", "metric", "pair")},
                "length": length,
                "temperature": t,
                "columns": {
                    "text": list(columns.text),
                    "pair": columns.pair,
                    "names": list(columns.names),
                    **({"separator": columns.separator} if columns.separator else {}),
                    "quoting": columns.quoting,
                    "encodings": list(columns.encodings),
                    **{key: each for key in ("delimiter", "sheet") if (each := getattr(columns, key))},
                },
            },
            inputs={"task": task.digest, **digests},
            unhashed=(CARD,),
        )


def _thresholds(chosen: Candidate, labels: Sequence[str], t: float) -> dict[str, float] | None:
    """Label → the probability from which the exported model predicts it; None for other problems."""
    cut = chosen.evaluated.parameters.get("thresholds")
    if cut is None:
        return None
    # On log-odds; those of the exported model are divided by t.
    return {
        label: float(f"{1 / (1 + math.exp(-each / t)):.6g}") for label, each in zip(labels, cut, strict=True)
    }


def _candidate(stage: Path, evaluation: Path) -> Candidate:
    made = read_manifest(stage)
    if made.kind not in ("stage1", "stage2"):
        raise TlmError(f"{stage}: holds a {made.kind!r} artifact where a trained model is needed")
    opened = open_evaluation(evaluation)
    if opened.manifest.inputs.get(made.kind) != made.digest:
        raise TlmError(f"{evaluation}: is of another model than {stage}; evaluate again")
    return Candidate(stage, made, opened)


def _columns(task: Manifest) -> Columns:
    """The columns of the task's files; default columns if the task was not read from columns."""
    parser = task.parameters["spec"]["parser"]
    pair = bool(task.parameters["pair"])
    if parser["format"] != "delimited":
        return Columns(pair="text_pair" if pair else None)
    text = parser["text"]
    return Columns(
        text=(text,) if isinstance(text, str) else tuple(text),
        pair=parser["text_pair"],
        names=tuple(parser["columns"] or ()),
        separator=parser.get("label_separator"),
        quoting=parser["quoting"],
        delimiter=parser.get("delimiter"),
        sheet=parser.get("sheet"),
        encodings=tuple(parser["encodings"]),
    )


def copy_model(
    model: Path, folder: Path, length: int, t: float = 1.0, thresholds: Mapping[str, float] | None = None
) -> None:
    """The model's files, its logits divided by the temperature `t`; `thresholds` go into its configuration.

    The tokenizer truncates at `length` tokens, the longest text of training. Raises TlmError for a missing file.
    """
    for name in FILES:
        if not (model / name).is_file():
            raise TlmError(f"{model}: holds no {name}; train it again")
    config = _json(model / CONFIG)
    more = {} if thresholds is None else {THRESHOLDS: dict(thresholds)}
    write_json(folder / CONFIG, {**_without(config, "_name_or_path"), **more})
    if t == 1:
        shutil.copyfile(model / WEIGHTS, folder / WEIGHTS)
    else:
        write_divided(model / WEIGHTS, folder / WEIGHTS, str(config.get("model_type")), t)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    # What it says of the machine that saved it is left out.
    settings = _without(
        _json(model / "tokenizer_config.json"), "is_local", "local_files_only", "name_or_path"
    )
    write_json(folder / "tokenizer_config.json", {**settings, "model_max_length": length})


def _without(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise TlmError(f"{path}: cannot be read ({error}); build {path.parent} again") from None

"""The model card: a model's purpose, inputs, training, scores and limits.

Place in the flow: `export` writes it as the folder's README.md, which is also the model's page on the Hub; the Hub
indexes its front matter. Every number comes from an artifact of the run; without times, equal runs give equal cards.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from huggingface_hub import EvalResult, ModelCardData

from tlm.evaluation.blend import PREDICTORS
from tlm.evaluation.temperature import FEWEST
from tlm.serving.card_facts import CardFacts
from tlm.serving.predictors import NAMES, FolderPredictors
from tlm.serving.scores import ModelCalibration

# Our metric → its name on the Hub, its name for people. `accuracy_f1` and `pearson_spearman` are means of two others.
_METRICS = {
    "accuracy": ("accuracy", "accuracy"),
    "micro_f1": ("f1", "micro-F1"),
    "macro_f1": ("f1", "macro-F1"),
    "f1": ("f1", "F1 of the positive class"),
    "matthews": ("matthews_correlation", "Matthews' correlation"),
    "exact_match": ("accuracy", "exact match of all labels"),
    "mean_average_precision": (None, "mean average precision"),
    "accuracy_f1": (None, "mean of accuracy and F1"),
    "pearson": ("pearsonr", "Pearson's correlation"),
    "spearman": ("spearmanr", "Spearman's correlation"),
    "pearson_spearman": (None, "mean of Pearson's and Spearman's correlation"),
}
_FEW = 30  # rows of a class below which its scores are rough


def card(facts: CardFacts) -> str:
    """The README.md: front matter for the Hub, then Markdown for people."""
    parts = [
        f"---\n{_front_matter(facts)}\n---\n\n# {facts.name}",
        _purpose(facts),
        "## Use\n\n" + _use(facts),
        "## Training data\n\n" + _data(facts),
        "## Training\n\n" + _training(facts),
        "## Scores\n\n" + _scores(facts),
        *(
            ["## Which predictor to use\n\n" + _predictors(facts, facts.predictors)]
            if facts.predictors
            else []
        ),
        "## Limits\n\n" + _limits(facts),
        _CITATION,
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: CardFacts) -> str:
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=str(facts.task.parameters["task"]),
            dataset_name=str(facts.task.parameters["task"]),
            dataset_split=facts.scores.split,
            metric_type=kind,
            metric_name=spoken,
            metric_value=round(facts.scores.metrics[name][0], 4),
        )
        for name, (kind, spoken) in _METRICS.items()
        if name in facts.scores.metrics and kind is not None
    ]
    tags = ["tlm", "trained-from-scratch"]
    if facts.recipe["model"]["pretrained"]:
        tags = ["tlm"]
    data = ModelCardData(
        model_name=facts.name,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=tags,
        base_model=facts.recipe["model"]["pretrained"],
        eval_results=results,
    )
    return str(data.to_yaml()).strip()


def _purpose(facts: CardFacts) -> str:
    given = "a pair of texts" if facts.pair else "a text"
    if facts.regression:
        does = f"Predicts a number for {given}."
    else:
        labels = [f"`{label}`" for label in facts.task.parameters["labels"]]
        does = f"Classifies {given} into {len(labels)} classes: {_some(labels)}."
        if facts.many:
            does = f"Predicts any number of {len(labels)} labels for {given}: {_some(labels)}."
    description = str(facts.task.parameters["spec"].get("description") or "").strip()
    start = facts.recipe["model"]["pretrained"]
    origin = f"It started from the checkpoint `{start}`" if start else "It was trained from scratch"
    return (
        f"{does}{' ' + description if description else ''}\n\n{origin} with TLM, which retrieves the passages of a"
        " general corpus that are most similar to each training text, and trains on both"
        " ([Yao et al. 2022](https://arxiv.org/abs/2111.04130))."
    )


def _use(facts: CardFacts) -> str:
    call = '{"text": "…", "text_pair": "…"}' if facts.pair else '"…"'
    cut = (
        f"`truncation=True` cuts longer texts to {facts.length} tokens, the length of the model's training"
        f"{'; of a pair, it cuts the longer text first' if facts.pair else ''}."
    )
    every = ", top_k=None" if facts.many else ""
    several = (
        " `top_k=None` gives the probability of every label, its sigmoid. A text has the labels whose probability"
        " reaches their threshold, below and in `classify.model.config.thresholds`."
    )
    return (
        "```python\nfrom transformers import pipeline\n\n"
        f'classify = pipeline("text-classification", model="models/{facts.name}", truncation=True{every})\n'
        f"classify({call})\n```\n\n{cut} `model` is the folder, or the name of the model on the Hub."
        + (several if facts.many else "")
    )


def _data(facts: CardFacts) -> str:
    rows = facts.task.counts["rows"]
    lines = [f"- **Labelled texts**: {', '.join(f'{count:,} {split}' for split, count in rows.items())}."]
    by_class = facts.task.counts.get("labels", {}).get("train")
    if by_class:
        each = [f"`{label}` {count:,}" for label, count in by_class.items()]
        lines[0] += f" In train: {_some(each)}."
    if sets := facts.task.counts.get("label_sets"):
        train, count = sets["train"], rows["train"]
        lines[0] += (
            f" {train['labels'] / count:.2f} labels a text in train, at most {train['most']};"
            f" {train['without']:,} texts have none."
        )
    if repeated := facts.task.counts["duplicates"]["test_in_train"]:
        lines[0] += f" {repeated:,} texts of test also occur in train."
    if facts.corpus is not None:
        counts = facts.corpus.counts
        about = str(facts.corpus.parameters["spec"].get("description") or "").strip()
        lines.append(
            f"- **Corpus** `{facts.corpus.parameters['corpus']}`: {counts['passages']:,} passages,"
            f" {_size(counts['bytes'])}.{' ' + about if about else ''}"
        )
    if facts.selection is not None:
        parameters, counts = facts.selection.parameters, facts.selection.counts
        how = (
            f"the {parameters['k']} best passages by BM25 for each training text"
            if parameters["selector"] == "bm25"
            else f"chosen by `{parameters['selector']}`"
        )
        lines.append(
            f"- **Selection**: {counts['passages']:,} of these passages, {_size(counts['bytes'])}: {how},"
            " without repetition."
        )
    else:
        lines.append("- **Selection**: none; the model was trained on the labelled texts alone.")
    return "\n".join(lines)


def _training(facts: CardFacts) -> str:
    model, flops = facts.recipe["model"], facts.flops
    shape = f"`{model['architecture']}`, {flops['parameters']:,} parameters"
    if not model["pretrained"]:
        shape += f" ({model['layers']} layers of width {model['hidden_size']})"
    lines = [f"- **Model**: {shape}."]
    first, second = flops["stage1"], flops["stage2"]
    settings = facts.recipe["stage1"]
    if first is not None:
        lines.append(
            f"- **Stage 1**: {first['tokens']['real']:,} tokens, masked language modelling on the selection and"
            f" the task together with classification (ρ1 = {settings['rho1']}, ρ2 = {settings['rho2']})."
        )
    if second is not None:
        lines.append(f"- **Stage 2**: {second['tokens']['real']:,} tokens, classification alone.")
    cost = []
    if first is not None:
        cost.append(
            f"{first['paper']:.2e} FLOPs by the formula of the paper (6 · tokens · parameters, stage 1)"
        )
        total = first["matmul"]["total"] + (second["matmul"]["total"] if second else 0)
        cost.append(f"{total:.2e} in matrix products, both stages")
    elif second is not None:
        cost.append(
            f"{second['matmul']['total']:.2e} FLOPs in matrix products of stage 2; pretraining not counted"
        )
    if cost:
        lines.append(f"- **Cost**: {'; '.join(cost)}. Retrieval and evaluation not counted.")
    lines.append(
        f"- **Choice**: seed {facts.chosen} of {len(facts.seeds)}, and its checkpoint, by the dev texts alone."
    )
    return "\n".join(lines)


def _scores(facts: CardFacts) -> str:
    found = facts.scores
    scored = f"On the {found.rows:,} texts of {found.split}"
    if found.split == "dev":
        scored += (
            ", which also chose the model (the test labels are not public): expect lower scores on new texts"
        )
    lines = [
        f"{scored}; in percent, with 95 % intervals by bootstrap over these texts.\n",
        "| metric | value | interval |",
        "|---|---:|---|",
    ]
    for name, (value, interval) in found.metrics.items():
        spoken = _METRICS[name][1] + (" (chooses the model)" if name == facts.metric else "")
        lines.append(
            f"| {spoken} | {_percent(value)} | {_percent(interval.low)} to {_percent(interval.high)} |"
        )
    per_seed = [seed.test if found.split == "test" else seed.dev for seed in facts.seeds]
    values = [value for value in per_seed if value is not None]
    if len(values) > 1:
        lines.append(
            f"\nOver all {len(values)} training seeds: {_METRICS[facts.metric][1]} {_percent(fmean(values))}"
            f" ± {_percent(stdev(values))} (standard deviation)."
        )
    if found.classes:
        more = ["average precision", "threshold"] if facts.many else []
        heads = ["label" if facts.many else "class", "precision", "recall", "F1", *more, "texts"]
        lines += [f"\n| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
        for label, parts in found.classes.items():
            numbers = [_percent(parts[key]) for key in ("precision", "recall", "f1")]
            if facts.thresholds is not None:
                numbers += [_percent(parts["average_precision"]), _percent(facts.thresholds[label])]
            lines.append(f"| {_cell(label)} | {' | '.join(numbers)} | {int(parts['n'] or 0):,} |")
    if facts.many:
        lines.append(
            f"\nThe thresholds (of the probability, in percent) were chosen on the {facts.task.counts['rows']['dev']:,}"
            " dev texts by F1, those of labels with few dev texts near the threshold that is best for all labels."
        )
    if found.calibrated is not None:
        lines.append("\n" + _calibration(facts, found.calibrated))
    return "\n".join(lines)


def _predictors(facts: CardFacts, found: FolderPredictors) -> str:
    """The choice with its reason, the scores of all three, and which software uses which."""
    lines = [
        f"`tlm predict {facts.name}` uses {NAMES[found.use]}: {found.reason}.\n",
        f"| predictor | option | {_METRICS[facts.metric][1]} on dev | on test |",
        "|---|---|---:|---:|",
    ]
    for name in PREDICTORS:
        test = "" if found.test is None else _percent(found.test[name])
        lines.append(f"| {NAMES[name]} | `--with {name}` | {_percent(found.dev[name])} | {test} |")
    lines.append(
        f"\nAll other sections describe the encoder, which `transformers` and ONNX Runtime load. The linear model"
        f" (`{found.linear.variant}`, `linear.json` and `linear.safetensors`) and the blend need `tlm predict`. The"
        f" blend mixes the log probabilities of both, the encoder's with a weight of {found.blend.weight:.2f}. Its dev"
        " score is cross-fitted; the choice uses dev texts alone."
    )
    return "\n".join(lines)


def _calibration(facts: CardFacts, found: ModelCalibration) -> str:
    """How the probabilities were calibrated, and the calibration error before and after."""
    rows, split = facts.task.counts["rows"]["dev"], facts.scores.split
    error = (
        f"{_percent(found.after.ece)} % ({_percent(found.after.interval.low)} to"
        f" {_percent(found.after.interval.high)}; {_percent(found.after.by_chance)} % for perfect calibration)"
    )
    if rows < FEWEST:
        return (
            f"The probabilities are not calibrated: {rows} dev texts are too few to fit a temperature"
            f" ({FEWEST} are needed). Their expected calibration error on {split} is {error}."
        )
    same = ", on which it was fitted," if split == "dev" else ""
    return (
        f"The probabilities are calibrated: the weights of the last layer are divided by a temperature of"
        f" {found.temperature:.3g}, fitted on the {rows:,} dev texts; this changes no predicted"
        f" {'label' if facts.many else 'class'}. The expected"
        f" calibration error on {split}{same} is {error}; before, it was {_percent(found.before.ece)} %."
    )


def _limits(facts: CardFacts) -> str:
    found = facts.scores
    lines = [f"- The model reads the first {facts.length} tokens of a text and ignores the rest."]
    if facts.many:
        lines.append("- The model knows no other labels, and a text can get none of them.")
    elif not facts.regression:
        lines.append("- Every text gets one of the classes, even a text that belongs to none of them.")
    if found.calibrated is not None and facts.many:
        sure = found.calibrated.after
        lines.append(
            f"- On {found.split}, a label has a probability of {_percent(sure.confidence)} % on average, and"
            f" {_percent(sure.accuracy)} % of the labels apply. On other kinds of texts the model may be overconfident."
        )
    elif found.calibrated is not None:
        sure = found.calibrated.after
        lines.append(
            f"- On {found.split}, the predictions have a probability of {_percent(sure.confidence)} % on average, and"
            f" {_percent(sure.accuracy)} % of them are right. On other kinds of texts the model may be overconfident."
        )
    sizes = {label: int(parts["n"] or 0) for label, parts in found.classes.items()}
    small = [f"`{label}` ({size})" for label, size in sizes.items() if size < _FEW]
    if small:
        lines.append(f"- Few texts of {_some(small)} in {found.split}: their scores are rough.")
    lines.append(
        f"- The texts of {found.split} have the same source as the training texts. The model was not tested on texts of"
        " other sources, periods or styles, and the intervals do not cover them."
    )
    if not facts.recipe["model"]["pretrained"]:
        lines.append(
            "- The model knows only the language of its labelled texts and its selection, and it may repeat their"
            " statements about people and things."
        )
    return "\n".join(lines)


_CITATION = """## Citation

```bibtex
@inproceedings{yao2022tlm,
  title = {{NLP} From Scratch Without Large-Scale Pretraining: A Simple and Efficient Framework},
  author = {Yao, Xingcheng and Zheng, Yanan and Yang, Xiaocong and Yang, Zhilin},
  booktitle = {International Conference on Machine Learning},
  year = {2022}
}
```"""


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _some(items: Sequence[str], most: int = 20) -> str:
    """The first items, and the number of the others."""
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest} more" if rest > 0 else "")


def _cell(text: str) -> str:
    """A label as a cell of a Markdown table."""
    return text.replace("|", r"\|")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"

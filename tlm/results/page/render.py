"""Renders a report as one HTML file that runs no scripts and loads nothing else.

Place in the flow: `task_report.TaskReport` → here → `results/tasks/<task>/report.html`. Jinja2 escapes every text, and
the page also forbids scripts in its content security policy. The template is page.html, the style page.css.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tlm.config.task_report import BLEND
from tlm.evaluation.temperature import FEWEST
from tlm.results.build_times import sentences
from tlm.results.page import advice, formatting, pictures
from tlm.results.page.task_report import Calibration, Class, TaskReport

TABLE = 12  # classes: a larger matrix is a picture
MATRIX = 60  # classes: of more, only those with the most errors are shown
WORST = 10  # classes, confusions

_TITLES = {
    "use": "Which model to use",
    "worth": "Was TLM worth it?",
    "errors": "Where it is right and wrong",
    "mistakes": "Its most confident mistakes",
    "trust": "How far to trust its probabilities",
    "retrieved": "What was retrieved",
    "learning": "How training went",
    "cost": "What it cost",
    "data": "The data",
    "next": "What next",
    "made": "How this was made",
}
_EXPLAINED = {
    "tlm": "Stage 1 on the retrieved passages and the task’s texts, stage 2 on the task.",
    "task-only": "The same encoder and stages without passages: trained on the task’s data alone.",
    "random": "The same as TLM, with the same number of random passages: shows the effect of retrieval.",
    "labelled-only": "The same as TLM, without the task’s unlabelled texts: shows their effect.",
    "tfidf": "Counts of words and word pairs and a linear model, regularised by dev scores: the first thing to try.",
    "ngram-svm": "Counts of n-grams of words and characters, and a linear SVM: the strongest simple method.",
    "blend": "The log probabilities of TLM and the better linear model on dev, mixed with one weight.",
}


def render(report: TaskReport) -> str:
    """The page as HTML."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": formatting.percent,
        "signed": formatting.signed,
        "interval": formatting.interval,
        "count": formatting.count,
        "counted": formatting.counted,
        "number": formatting.number,
        "sure": formatting.sure,
        "flops": formatting.flops,
        "size": formatting.size,
        "duration": formatting.duration,
        "shortened": formatting.shortened,
        "metric_name": formatting.metric_name,
        "with_code": with_code,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "zip": lambda one, other: list(zip(one, other, strict=True)),
    }
    folder = files(__package__)
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))  # ours, not a user's text
    return template.render(css=style, **view(report)).lstrip() + "\n"


def with_code(text: str) -> Markup:
    """`text` escaped, with the parts between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def view(report: TaskReport) -> dict[str, Any]:
    """The variables of the template."""
    names = {method.name: method.label for method in report.methods}
    matrix = None
    if report.confusion and len(report.labels) <= TABLE:
        matrix = _cells(report)
    chosen = most_errors(report)
    headline, colon, detail = report.verdict.sentence.partition(":")
    short = {**names, "tfidf": "TF-IDF", BLEND: BLEND}
    absent = {"trust": report.calibration is None, "use": report.recommendation is None}
    titles = {key: title for key, title in _TITLES.items() if not absent.get(key)}
    return {
        "r": report,
        "titles": titles,
        "sections": list(titles.items()),
        "rows": report.data.rows[report.split],
        "metric": formatting.metric_name(report.metric),
        "names": names,
        "explained": _EXPLAINED,
        "headline": headline + colon,
        "detail": detail,
        "leads": dict.fromkeys(names) | {each.rival: each for each in report.differences},
        "key_facts": _key_facts(report),
        "matrix": matrix,
        "shown_classes": len(chosen),
        "confused": _confused(report) if len(report.labels) > 2 else [],
        "noun": report.noun,
        "nouns": _nouns(report),
        "class_parts": _class_parts(report),
        "trust": _trust(report),
        "learned": [
            ("Held-out loss of stage 1, in nats", report.stage1, 1),
            ("Dev score in stage 2, in percent", report.stage2, 100),
        ],
        "data_notes": advice.data_notes(report),
        "advice": advice.advice(report),
        "comparison_note": advice.comparison_note(report),
        "more_time": advice.more_time(report),
        "build_sentences": sentences(report.build) if report.build else [],
        "pictures": _pictures(report, short, chosen, matrix is None),
    }


def _pictures(
    report: TaskReport, names: dict[str, str], chosen: list[int], as_picture: bool
) -> dict[str, pictures.Picture | None]:
    metric = formatting.metric_name(report.metric)
    return {
        "differences": pictures.differences(report, names),
        "confusion": pictures.confusion(report, chosen) if report.confusion and as_picture else None,
        "scatter": pictures.scatter(report.regression) if report.regression else None,
        "calibration": pictures.calibration(report.calibration, many=report.many)
        if report.calibration
        else None,
        "stage1": pictures.learning(
            report.stage1, names, x="tokens of stage 1", y="held-out MLM loss (nats)", percent=False
        )
        if report.stage1
        else None,
        "stage2": pictures.learning(
            report.stage2,
            names,
            x="tokens of stage 2",
            y=f"{metric} on dev" + ("" if report.regression else " (%)"),
            percent=True,
        )
        if report.stage2
        else None,
    }


def _key_facts(report: TaskReport) -> list[tuple[str, str, str]]:
    """Name, value and small print of each key fact."""
    own = report.methods[0]
    facts = [
        (
            f"{formatting.metric_name(report.metric)}, {report.split}",
            formatting.percent(own.score.value),
            f"95 %: {formatting.interval(own.score)}",
        ),
        (
            "texts to train on",
            formatting.count(report.data.rows["train"]),
            f"{formatting.count(report.data.rows[report.split])} to score",
        ),
        (
            "passages read",
            formatting.count(report.corpus.selected),
            f"of {formatting.count(report.corpus.passages)} in the corpus",
        ),
        (
            "training time",
            formatting.duration(own.cost.seconds),
            f"per seed; {formatting.counted(len(own.seeds), 'seed')}",
        ),
    ]
    if report.labels:
        largest = max(report.data.labels["train"].values()) / report.data.rows["train"]
        facts.insert(
            1,
            (
                _nouns(report),
                formatting.count(len(report.labels)),
                f"the largest has {formatting.percent(largest)} %",
            ),
        )
    return facts


def _cells(report: TaskReport) -> list[list[dict[str, Any]]]:
    return [
        [
            {"rows": rows, "share": rows / total if (total := sum(line)) else 0.0, "hit": row == column}
            for column, rows in enumerate(line)
        ]
        for row, line in enumerate(report.confusion)
    ]


def most_errors(report: TaskReport) -> list[int]:
    """Indices of the classes in the matrix: all, or those with the most errors."""
    places = range(len(report.confusion))
    if len(places) <= MATRIX:
        return list(places)
    errors = {
        place: sum(report.confusion[place])
        + sum(line[place] for line in report.confusion)
        - 2 * report.confusion[place][place]
        for place in places
    }
    return sorted(sorted(places, key=lambda place: (-errors[place], place))[:MATRIX])


@dataclass(frozen=True)
class Confused:
    """How many rows of one class were predicted as another, and their share of the true class."""

    truth: str
    guess: str
    rows: int
    share: float


def _confused(report: TaskReport) -> list[Confused]:
    """The most frequent pairs of true and predicted class."""
    pairs = [
        Confused(report.labels[row], report.labels[column], rows, rows / sum(line))
        for row, line in enumerate(report.confusion)
        for column, rows in enumerate(line)
        if rows and row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair.rows, -pair.share))[:WORST]


def _nouns(report: TaskReport) -> str:
    return "labels" if report.many else "classes"


def _class_parts(report: TaskReport) -> list[dict[str, Any]]:
    """The tables of classes: one, or for many classes the weakest and, folded, all."""

    def part(title: str, classes: tuple[Class, ...], *, folded: bool) -> dict[str, Any]:
        return {"title": title, "classes": classes, "folded": folded}

    if len(report.classes) <= TABLE:
        return [part("", report.classes, folded=False)] if report.classes else []
    weakest = sorted((each for each in report.classes if each.rows), key=lambda each: each.f1.value)[:WORST]
    return [
        part(f"The {len(weakest)} weakest {_nouns(report)}.", tuple(weakest), folded=False),
        part(f"All {len(report.classes)} {_nouns(report)}", report.classes, folded=True),
    ]


def _trust(report: TaskReport) -> str:
    found = report.calibration
    if found is None:
        return ""
    gap = found.confidence - found.accuracy
    off = "overconfident" if gap > 0 else "underconfident"
    kind = "well calibrated on average" if abs(gap) < 0.02 else off
    given, applies = (
        ("every label", "of the labels apply") if report.many else ("its predictions", "of them are right")
    )
    return (
        f"The model is {kind}: it gives {given} a probability of {formatting.percent(found.confidence)} % on "
        f"average, and "
        f"{formatting.percent(found.accuracy)} % {applies}. The expected calibration error is "
        f"{formatting.percent(found.error.value)} % {formatting.interval(found.error)}; a perfectly "
        f"calibrated model would show {formatting.percent(found.by_chance)} % on this number of texts, by chance. "
        f"{_tempered(report, found)}"
    )


def _tempered(report: TaskReport, found: Calibration) -> str:
    """The temperature of the probabilities, and their error without it."""
    if report.data.rows["dev"] < FEWEST:
        texts = formatting.counted(report.data.rows["dev"], "dev text")
        return (
            f"The probabilities are as trained: {texts} are too few to fit a temperature; it takes {FEWEST}."
        )
    text = (
        "These are the probabilities of the exported model: its logits are divided by a temperature of "
        f"{formatting.number(found.temperature)}, fitted on dev, which changes no prediction. Without it, the error "
        f"would be {formatting.percent(found.before.value)} % {formatting.interval(found.before)}."
    )
    return text + (
        " It was fitted on these same texts: the true error may be larger." if report.split == "dev" else ""
    )

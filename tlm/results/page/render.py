"""The page: a report as one HTML file, without scripts and without anything from elsewhere.

Place in the flow: `report.Report` → here → `results/tasks/<task>/report.html`. Every text is escaped by Jinja2, and
the page forbids scripts to the browser besides. What it looks like is in page.html and page.css.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from tlm.results.page import advice, pictures, words
from tlm.results.page.report import Calibration, Class, Report
from tlm.results.temperature import FEWEST

TABLE = 12  # classes: a matrix of more is a picture
MATRIX = 60  # classes: of more, those with the most errors are shown
WORST = 10  # classes, confusions

_TITLES = {
    "worth": "Was TLM worth it?",
    "errors": "Where it is right and wrong",
    "mistakes": "Its surest mistakes",
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
    "task-only": "The same encoder and stages without passages: what can be learned from the task’s data alone.",
    "random": "The same, with as many passages drawn at random from the corpus: what retrieval adds.",
    "tfidf": "Counts of words and word pairs, and a linear model whose strength is chosen on dev: what to try first.",
}


def render(report: Report) -> str:
    """The page as HTML."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": words.percent,
        "signed": words.signed,
        "interval": words.interval,
        "count": words.count,
        "counted": words.counted,
        "number": words.number,
        "sure": words.sure,
        "flops": words.flops,
        "size": words.size,
        "duration": words.duration,
        "shortened": words.shortened,
        "metric_name": words.metric_name,
        "with_code": with_code,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "zip": lambda one, other: list(zip(one, other, strict=True)),
    }
    folder = files(__package__)
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))  # ours, not a user's text
    return template.render(css=style, **view(report)).lstrip() + "\n"


def with_code(text: str) -> Markup:
    """What stands between backticks as code, all of it escaped."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def view(report: Report) -> dict[str, Any]:
    """Everything that the template shows besides the report itself."""
    names = {method.name: method.label for method in report.methods}
    matrix = None
    if not report.regression and len(report.labels) <= TABLE:
        matrix = _cells(report)
    chosen = most_errors(report)
    headline, colon, detail = report.verdict.sentence.partition(":")
    short = {**names, "tfidf": "TF-IDF"}
    titles = {key: title for key, title in _TITLES.items() if key != "trust" or report.calibration}
    return {
        "r": report,
        "titles": titles,
        "sections": list(titles.items()),
        "rows": report.data.rows[report.split],
        "metric": words.metric_name(report.metric),
        "names": names,
        "explained": _EXPLAINED,
        "headline": headline + colon,
        "detail": detail,
        "leads": dict.fromkeys(names) | {each.rival: each for each in report.differences},
        "key_facts": _key_facts(report),
        "matrix": matrix,
        "shown_classes": len(chosen),
        "confused": _confused(report) if len(report.labels) > 2 else [],
        "class_parts": _class_parts(report),
        "trust": _trust(report),
        "learned": [
            ("Held-out loss of stage 1, in nats", report.stage1, 1),
            ("Dev score in stage 2, in percent", report.stage2, 100),
        ],
        "data_notes": advice.data_notes(report),
        "advice": advice.advice(report),
        "pictures": _pictures(report, short, chosen, matrix is None),
    }


def _pictures(
    report: Report, names: dict[str, str], chosen: list[int], as_picture: bool
) -> dict[str, pictures.Picture | None]:
    metric = words.metric_name(report.metric)
    return {
        "differences": pictures.differences(report, names),
        "confusion": pictures.confusion(report, chosen) if report.confusion and as_picture else None,
        "scatter": pictures.scatter(report) if report.regression else None,
        "calibration": pictures.calibration(report) if report.calibration else None,
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


def _key_facts(report: Report) -> list[tuple[str, str, str]]:
    """Name, value and what stands small beneath it."""
    own = report.methods[0]
    facts = [
        (
            f"{words.metric_name(report.metric)}, {report.split}",
            words.percent(own.score.value),
            f"95 %: {words.interval(own.score)}",
        ),
        (
            "texts to train on",
            words.count(report.data.rows["train"]),
            f"{words.count(report.data.rows[report.split])} to score",
        ),
        (
            "passages read",
            words.count(report.corpus.selected),
            f"of {words.count(report.corpus.passages)} in the corpus",
        ),
        (
            "training time",
            words.duration(own.cost.seconds),
            f"per seed; {words.counted(len(own.seeds), 'seed')}",
        ),
    ]
    if report.labels:
        largest = max(report.data.labels["train"].values()) / report.data.rows["train"]
        facts.insert(
            1, ("classes", words.count(len(report.labels)), f"the largest has {words.percent(largest)} %")
        )
    return facts


def _cells(report: Report) -> list[list[dict[str, Any]]]:
    return [
        [
            {"rows": rows, "share": rows / total if (total := sum(line)) else 0.0, "hit": row == column}
            for column, rows in enumerate(line)
        ]
        for row, line in enumerate(report.confusion)
    ]


def most_errors(report: Report) -> list[int]:
    """Places of the classes of a matrix, in their order: all, or those with the most errors."""
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
    """How many rows of one class were taken for another, and their share of the true class."""

    truth: str
    guess: str
    rows: int
    share: float


def _confused(report: Report) -> list[Confused]:
    """The most frequent pairs of true and predicted class."""
    pairs = [
        Confused(report.labels[row], report.labels[column], rows, rows / sum(line))
        for row, line in enumerate(report.confusion)
        for column, rows in enumerate(line)
        if rows and row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair.rows, -pair.share))[:WORST]


def _class_parts(report: Report) -> list[dict[str, Any]]:
    """The table of classes; of many, the weakest first and all of them folded away."""

    def part(title: str, classes: tuple[Class, ...], *, folded: bool) -> dict[str, Any]:
        return {"title": title, "classes": classes, "folded": folded}

    if len(report.classes) <= TABLE:
        return [part("", report.classes, folded=False)] if report.classes else []
    weakest = sorted((each for each in report.classes if each.rows), key=lambda each: each.f1.value)[:WORST]
    return [
        part(f"The {len(weakest)} weakest classes.", tuple(weakest), folded=False),
        part(f"All {len(report.classes)} classes", report.classes, folded=True),
    ]


def _trust(report: Report) -> str:
    found = report.calibration
    if found is None:
        return ""
    gap = found.confidence - found.accuracy
    if abs(gap) < 0.02:
        told = "about as sure as it is right"
    else:
        told = "more sure than it is right" if gap > 0 else "less sure than it is right"
    return (
        f"The model is {told}: it gives its answers a probability of {words.percent(found.confidence)} % on "
        f"average, and "
        f"{words.percent(found.accuracy)} % of them are right. The expected calibration error is "
        f"{words.percent(found.error.value)} % {words.interval(found.error)}; a model that is exactly as sure as "
        f"it is right "
        f"would show {words.percent(found.by_chance)} % on so many texts, by chance. {_tempered(report, found)}"
    )


def _tempered(report: Report, found: Calibration) -> str:
    """Whose probabilities these are, and what they were before."""
    if report.data.rows["dev"] < FEWEST:
        return (
            f"The probabilities are as trained: {words.counted(report.data.rows['dev'], 'dev text')} are too few to "
            f"fit a temperature, which takes {FEWEST}."
        )
    told = (
        "These are the probabilities of the exported model: its logits are divided by a temperature of "
        f"{words.number(found.temperature)}, fitted on dev, which changes no answer. Without it, the error would "
        f"be {words.percent(found.before.value)} % {words.interval(found.before)}."
    )
    return told + (" It was fitted on these same texts, which flatters." if report.split == "dev" else "")

"""Notes on the data and advice on next steps; each line follows from a rule.

Place in the flow: `task_report.TaskReport` → here → `render`. Every line contains the number that triggers it.
"""

from __future__ import annotations

import math

from tlm.config.task_report import METHODS, trained_rivals
from tlm.evaluation.temperature import FEWEST
from tlm.results.page import formatting
from tlm.results.page.task_report import TaskReport
from tlm.results.page.worth import CHEAPER
from tlm.tasks.unlabelled import describe

CUT = 0.2  # share of training texts that are longer than the model reads
FEW = 20  # training texts of a class: with fewer, the page asks for more labels
TESTED = 200  # scored texts: with fewer, intervals are wider than most differences
SURE = 0.1  # calibration error above the error expected by chance
LITTLE = 0.03  # nats: a smaller drop of the held-out loss is not worth twice the time
REPEATED = 0.01  # share of texts that occur in train or the corpus, or have two labels


def data_notes(report: TaskReport) -> list[str]:
    """Sentences on duplicates, contamination and removed texts."""
    data, notes = report.data, []
    across = [
        (data.duplicates[f"{later}_in_{earlier}"], later, earlier)
        for later, earlier in (("dev", "train"), ("test", "train"), ("test", "dev"))
        if later in data.rows and earlier in data.rows
    ]
    if found := [each for each in across if each[0]]:
        notes += [
            f"{formatting.counted(rows, f'{later} text')} of {formatting.count(data.rows[later])} "
            f"{_verb(rows, 'occur')} also in {earlier} (ignoring upper and lower case)."
            for rows, later, earlier in found
        ]
    else:
        notes.append("No text occurs in two splits.")
    if removed := {split: rows for split, rows in data.removed.items() if rows}:
        counts = formatting.listed(
            [f"{formatting.count(rows)} from {split}" for split, rows in removed.items()]
        )
        notes.append(f"Removed because the same text occurs in another split: {counts}.")
    within = sum(data.duplicates[f"within_{split}"] for split in data.rows)
    if within:
        repeated = f"{formatting.counted(within, 'text')} {_verb(within, 'repeat')}"
        notes.append(f"{repeated} another of the same split.")
    if conflicts := data.duplicates["conflicting_labels"]:
        notes.append(
            f"{formatting.counted(conflicts, 'text')} {'has' if conflicts == 1 else 'have'} two different "
            f"{'sets of labels' if report.many else 'labels'}."
        )
    notes += [
        f"Removed while reading: {formatting.count(rows)} {what}."
        for what, rows in data.left_out.items()
        if rows
    ]
    if data.unlabelled:
        notes.append(f"Read without labels: {describe(data.unlabelled, data.unlabelled_left_out)}.")
    leaked = [each for each in report.contamination if each.found]
    notes += [
        f"{formatting.counted(each.found, f'{each.split} text')} of {formatting.count(each.rows)} "
        f"{_verb(each.found, 'share')} 13 words in a row with a passage that stage 1 read; "
        f"{formatting.count(each.verbatim)} of them occur there as a whole."
        for each in leaked
    ]
    if not leaked:
        notes.append("No dev or test text was found in the passages that stage 1 read.")
    return notes


def comparison_note(report: TaskReport) -> str:
    """What `compare: true` would add to the report of an own task, and its cost; empty if nothing is missing."""
    wanted = trained_rivals(unlabelled=report.data.unlabelled > 0)
    missing = [METHODS[name] for name in wanted if name not in {each.name for each in report.methods}]
    if not report.own or not missing:
        return ""
    ours = report.methods[0]
    seconds = len(missing) * len(ours.seeds) * ours.cost.seconds
    return (
        f"Not compared: {formatting.listed(missing)}. They would show whether the passages, and their choice, made the "
        f"difference. `tlm train {report.task} --compare` adds them and keeps this model: about "
        f"{formatting.duration(seconds)} of training."
    )


def more_time(report: TaskReport) -> str:
    """Whether more time would lower the held-out loss; empty if the curve does not show it."""
    found = report.more_time
    if found is None or found.drop.low is None or found.drop.high is None:
        return ""
    low, high = found.drop.low, found.drop.high
    span = f"[{formatting.number(low)}, {formatting.number(high)}]"
    doubled = f"twice the tokens ({formatting.count(found.tokens)})"
    if high < LITTLE:
        return (
            f"More time would hardly help: {doubled} would lower the held-out loss of "
            f"{formatting.number(found.loss)} nats by about {formatting.number(found.drop.value)} {span}."
        )
    if low <= 0:
        return (
            f"The curve does not show whether more time would help: with {doubled}, the held-out loss of "
            f"{formatting.number(found.loss)} nats would fall by {formatting.number(found.drop.value)} {span}."
        )
    text = (
        f"More time would lower the loss: {doubled} by about {formatting.number(found.drop.value)} nats {span}, from "
        f"{formatting.number(found.loss)} to {formatting.number(found.loss - found.drop.value)}. "
    )
    if report.own:
        minutes = math.ceil(found.seconds / 60)
        text += (
            f"`tlm train {report.task} --budget +{minutes}m` trains about so long: stage 1 goes on from its state "
            "before the decay. "
        )
    return text + "A lower loss often means better scores, but not always."


def _verb(rows: int, verb: str) -> str:
    return f"{verb}s" if rows == 1 else verb


def advice(report: TaskReport) -> list[str]:
    """Sentences on next steps."""
    data, lines = report.data, []
    if report.recommendation is not None:
        pass  # the page starts with it
    elif report.verdict.answer == "no":
        best = max(
            (method for method in report.methods if method.name in CHEAPER),
            key=lambda method: method.score.value,
        )
        lines.append(f"Use {best.label} instead: it scores higher and costs less.")
    elif any(each.rival == "tfidf" and each.answer == "unclear" for each in report.differences):
        lines.append(
            "TF-IDF may do as well and costs far less: prefer it until more texts or seeds show a clear lead of TLM."
        )
    rows = data.rows[report.split]
    if rows < TESTED:
        lines.append(
            f"There are only {formatting.counted(rows, f'{report.split} text')}: "
            "label several hundred more to get precise scores."
        )
    few = [label for label, count in data.labels.get("train", {}).items() if count < FEW]
    if few:
        shown = [formatting.shortened(label, 40) for label in few[:5]] + (
            [f"{len(few) - 5} others"] if len(few) > 5 else []
        )
        lines.append(
            f"Label more texts of {formatting.listed(shown)}: each has fewer than {FEW} training texts."
        )
    cut = data.lengths["train"].cut
    if cut >= CUT:
        lines.append(
            f"{formatting.percent(cut)} % of the training texts are longer than {data.length} tokens, the model’s "
            "maximum. If important content is at their end, raise `model.max_length`, `stage1.internal_length` and "
            "`stage2.length`."
        )
    if data.duplicates["conflicting_labels"] > REPEATED * sum(data.rows.values()):
        lines.append("Equal texts with different labels limit every score: decide which label is right.")
    leaked = sum(each.found for each in report.contamination if each.split == report.split)
    if leaked > REPEATED * rows:
        lines.append(
            f"{formatting.counted(leaked, f'{report.split} text')} were found in the corpus, at least in part: build "
            "again without those passages (`exclude: contaminated`) to see their effect on the scores."
        )
    scored = data.duplicates.get(f"{report.split}_in_train", 0)
    if scored > REPEATED * rows:
        lines.append(
            f"Remove the {formatting.counted(scored, 'text')} from {report.split} that also occur in train: "
            "they make the scores too high."
        )
    if (found := report.calibration) and found.error.value - found.by_chance > SURE:
        lines.append(
            "The probabilities are not reliable: "
            + (
                f"{formatting.counted(data.rows['dev'], 'dev text')} are too few to fit a temperature; give the task "
                f"{FEWEST} or more."
                if data.rows["dev"] < FEWEST
                else "with the temperature fitted on dev their calibration error is still "
                f"{formatting.percent(found.error.value)} %. "
                "Choose a threshold by the accuracy above it on labelled texts, not by the probability itself."
            )
        )
    if len(report.methods[0].seeds) == 1:
        lines.append("Train with more seeds (`seeds:`) before you rely on a small difference.")
    return lines

"""What a page tells people to look at: notes on the data, and what could be done next; each by a rule.

Place in the flow: `report.Report` → here → `render`. Every line names the number that made it appear; where nothing is
remarkable, nothing is said.
"""

from __future__ import annotations

from tlm.results.page import words
from tlm.results.page.report import Report
from tlm.results.page.worth import CHEAPER
from tlm.results.temperature import FEWEST

CUT = 0.2  # of the texts are longer than what the model reads
FEW = 20  # training texts of a class
TESTED = 200  # texts: fewer leave intervals wider than most differences
SURE = 0.1  # calibration error beyond what chance explains
REPEATED = 0.01  # of texts that were trained on, or have two labels


def data_notes(report: Report) -> list[str]:
    """Duplicates, contamination and what was left out, in sentences."""
    data, notes = report.data, []
    across = [
        (data.duplicates[f"{later}_in_{earlier}"], later, earlier)
        for later, earlier in (("dev", "train"), ("test", "train"), ("test", "dev"))
        if later in data.rows and earlier in data.rows
    ]
    if found := [each for each in across if each[0]]:
        notes += [
            f"{words.counted(rows, f'{later} text')} of {words.count(data.rows[later])} "
            f"{_verb(rows, 'occur')} in {earlier} too, letter case aside."
            for rows, later, earlier in found
        ]
    else:
        notes.append("No text occurs in two splits.")
    if removed := {split: rows for split, rows in data.removed.items() if rows}:
        told = words.listed([f"{words.count(rows)} from {split}" for split, rows in removed.items()])
        notes.append(f"Left out because the same text stands in another split: {told}.")
    within = sum(data.duplicates[f"within_{split}"] for split in data.rows)
    if within:
        repeated = f"{words.counted(within, 'text')} {_verb(within, 'repeat')}"
        notes.append(f"{repeated} another of the same split.")
    if conflicts := data.duplicates["conflicting_labels"]:
        notes.append(f"{words.counted(conflicts, 'text')} {'has' if conflicts == 1 else 'have'} two labels.")
    notes += [
        f"Left out while reading: {words.count(rows)} {what}." for what, rows in data.left_out.items() if rows
    ]
    leaked = [each for each in report.contamination if each.found]
    notes += [
        f"{words.counted(each.found, f'{each.split} text')} of {words.count(each.rows)} "
        f"{_verb(each.found, 'share')} a run of 13 words with a passage that stage 1 has read, "
        f"{words.count(each.verbatim)} of them as a whole."
        for each in leaked
    ]
    if not leaked:
        notes.append("No dev or test text was found in the passages that stage 1 has read.")
    return notes


def _verb(rows: int, verb: str) -> str:
    return f"{verb}s" if rows == 1 else verb


def advice(report: Report) -> list[str]:
    """What could be done next."""
    data, lines = report.data, []
    if report.verdict.answer == "no":
        best = max(
            (method for method in report.methods if method.name in CHEAPER),
            key=lambda method: method.score.value,
        )
        lines.append(f"Use {best.label} instead: it scores more, and costs less.")
    elif any(each.rival == "tfidf" and each.answer == "unclear" for each in report.differences):
        lines.append("TF-IDF may do as well and costs far less: prefer it until a lead of TLM can be told.")
    rows = data.rows[report.split]
    if rows < TESTED:
        lines.append(
            f"There are only {words.counted(rows, f'{report.split} text')}: "
            "label some hundreds more, to know what the scores are."
        )
    few = [label for label, count in data.labels.get("train", {}).items() if count < FEW]
    if few:
        shown = [words.shortened(label, 40) for label in few[:5]] + (
            [f"{len(few) - 5} others"] if len(few) > 5 else []
        )
        lines.append(f"Label more texts of {words.listed(shown)}: fewer than {FEW} are trained on.")
    cut = data.lengths["train"].cut
    if cut >= CUT:
        lines.append(
            f"{words.percent(cut)} % of the training texts are longer than the {data.length} tokens that the model "
            "reads. If what matters stands at their end, raise `model.max_length`, `stage1.internal_length` and "
            "`stage2.length`."
        )
    if data.duplicates["conflicting_labels"] > REPEATED * sum(data.rows.values()):
        lines.append(
            "Equal texts with different labels put a limit to every score: settle which label is right."
        )
    leaked = sum(each.found for each in report.contamination if each.split == report.split)
    if leaked > REPEATED * rows:
        lines.append(
            f"{words.counted(leaked, f'{report.split} text')} were found in the corpus, at least in part: build once "
            "more without those passages (`exclude: contaminated`) to see what they gave."
        )
    scored = data.duplicates.get(f"{report.split}_in_train", 0)
    if scored > REPEATED * rows:
        lines.append(
            f"Take the {words.counted(scored, 'text')} out of {report.split} that "
            "the model has trained on: they flatter the scores."
        )
    if (found := report.calibration) and found.error.value - found.by_chance > SURE:
        lines.append(
            "Do not take the probabilities at their word: "
            + (
                f"{words.counted(data.rows['dev'], 'dev text')} are too few to fit a temperature; give the task "
                f"{FEWEST} or more."
                if data.rows["dev"] < FEWEST
                else f"with the temperature fitted on dev they are still {words.percent(found.error.value)} % off. "
                "Set a threshold by what is right above it on labelled texts, not by the number itself."
            )
        )
    if len(report.methods[0].seeds) == 1:
        lines.append("Train with more seeds (`seeds:`) before you trust a small difference.")
    return lines

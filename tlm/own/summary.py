"""The printed summary of `tlm new`: findings, chosen settings, expected time, and the next command.

Place in the flow: the end of `tlm new`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tlm.config.task_report import trained_rivals
from tlm.own.defaults import trainings
from tlm.own.findings import CorpusFindings, TaskFindings, percentiles
from tlm.own.language import Writing
from tlm.own.prepare import NewTask
from tlm.progress import duration
from tlm.tasks.label_sets import labels_in
from tlm.tasks.splits import SPLITS
from tlm.tasks.unlabelled import describe

_WIDTH = 13
_CLASSES = 12  # listed at most


def as_text(name: str, new: NewTask, path: Path) -> str:
    """The whole summary."""
    lines = [*_task(new), *_corpus(new), *_training(new), *_notes(new)]
    lines += [
        "",
        _line("written", str(path)),
        _line("next", f"snakemake results/tasks/{name}/report.html"),
    ]
    return "\n".join(lines)


def _line(name: str, value: str) -> str:
    return f"  {name:<{_WIDTH}} {value}"


def _task(new: NewTask) -> list[str]:
    task, counts = new.found.task, new.found.task.counts
    files = new.spec.task.files
    own = isinstance(files, dict)
    rows = {split: task.rows(split) for split in SPLITS}
    made = ", ".join(split for split in SPLITS if not own or split not in files)
    total = sum(rows.values())
    lines = [
        "task",
        _line(
            "rows",
            f"{total:,} ({', '.join(f'{split} {count:,}' for split, count in rows.items())}"
            + (f"; {made} split by hash)" if made else "; as given)"),
        ),
    ]
    if left := counts["left_out"]:
        lines.append(_line("left out", ", ".join(f"{count:,} {kind}" for kind, count in left.items())))
    if task.unlabelled:
        lines.append(_line("unlabelled", describe(len(task.unlabelled), task.unlabelled_left_out)))
    lines.append(_line("labels", _labels(task)))
    words = percentiles(len(f"{each.text} {each.text_pair or ''}".split()) for each in task.examples)
    tokens = percentiles(length for split in new.lengths.splits.values() for length in split)
    lines += [
        _line("words", _lengths(words)),
        _line("tokens", f"{_lengths(tokens)} (a vocabulary trained on a sample)"),
        _line("duplicates", _duplicates(task)),
        _line("language", _language(new.spec.language, task.writing)),
    ]
    return lines


def _labels(task: TaskFindings) -> str:
    if not task.labels:
        numbers = [float(str(each.label)) for each in task.examples]
        mean = sum(numbers) / len(numbers)
        return f"numbers from {min(numbers):g} to {max(numbers):g}, mean {mean:.3g}"
    counts = Counter(label for each in task.examples for label in labels_in(each.label))
    total = len(task.examples)
    shown = [f"{label} {counts[label] / total:.0%}" for label in task.labels[:_CLASSES]]
    rest = "" if len(task.labels) <= _CLASSES else f" and {len(task.labels) - _CLASSES} more"
    small = min(counts[label] for label in task.labels)
    rare = f"; the rarest has {small} row{'s' * (small != 1)}" if small < 50 else ""
    return f"{len(task.labels)}: {', '.join(shown)}{rest}{rare}{_sets(task)}"


def _sets(task: TaskFindings) -> str:
    """Labels per row of a multi-label task; nothing for other tasks."""
    if "label_sets" not in task.counts:
        return ""
    sets = task.counts["label_sets"].values()
    rows = len(task.examples)
    without, labels = (sum(each[key] for each in sets) for key in ("without", "labels"))
    none = f"; {without / rows:.0%} of the rows have none" if without else ""
    return f"; {labels / rows:.1f} labels a row, at most {max(each['most'] for each in sets)}{none}"


def _lengths(found: dict[str, int]) -> str:
    return f"median {found['median']:,}, 95 % within {found['p95']:,}, longest {found['longest']:,}"


def _duplicates(task: TaskFindings) -> str:
    counts = task.counts["duplicates"]
    within = sum(counts[f"within_{split}"] for split in SPLITS)
    parts = [f"{within:,} rows repeat a text of their split"] if within else []
    for later, earlier in (("test", "train"), ("dev", "train"), ("test", "dev")):
        if repeated := counts[f"{later}_in_{earlier}"]:
            parts.append(f"{repeated:,} {later} texts are in {earlier}, too")
    if conflicting := counts["conflicting_labels"]:
        two = "different labels in two rows" if "label_sets" in task.counts else "two labels"
        parts.append(f"{conflicting:,} texts have {two}")
    return "; ".join(parts) or "none within or across the splits"


def _language(language: str | None, writing: Writing) -> str:
    guessed = f"{language or 'not recognised'} ({writing.script} script"
    return guessed + (", a guess)" if language == writing.language else ", a guess; language as declared)")


def _corpus(new: NewTask) -> list[str]:
    corpus = new.found.corpus
    if corpus is None:
        return ["corpus", _line("shared", f"{new.spec.corpus}, as declared")]
    about = "" if corpus.whole else "about "
    return [
        "corpus",
        _line("files", f"{corpus.files:,} ({_bytes(corpus.disk_bytes)} on disk), linked, not copied"),
        _line(
            "text",
            f"{about}{_bytes(corpus.text_bytes)}, {about}{corpus.passages:,.0f} passages{_sampled(corpus)}",
        ),
        _line("language", _language(corpus.writing.language, corpus.writing)),
    ]


def _sampled(corpus: CorpusFindings) -> str:
    return "" if corpus.whole else f" (estimated from parts of {corpus.sampled_files:,} files)"


def _training(new: NewTask) -> list[str]:
    training = new.choice.training
    stage1, stage2 = training["stage1"], training["stage2"]
    shape = new.choice.size
    compare, seeds = new.spec.compare, new.seeds
    unlabelled = new.spec.task.unlabelled is not None
    count = trainings(seeds, compare=compare, unlabelled=unlabelled)
    methods = ["tlm", *trained_rivals(unlabelled=unlabelled)] if compare else ["tlm"]
    flops = new.estimate.sum("matmul_flops")
    disk = new.estimate.sum("disk_bytes")
    speed = ", ".join(f"{rate.flops_per_second / 1e9:.0f} GFLOP/s" for rate in list(new.rates.values())[-1:])
    return [
        "training",
        _line(
            "settings",
            f"K {training['k']}, rho1 {stage1['rho1']}, {_tokens(stage1['budget'])} in stage 1, lengths"
            f" {stage1['internal_length']} and {stage1['external_length']}, {stage2['epochs']} epochs of stage 2",
        ),
        _line("model", f"{shape}, vocabulary {training['tokenizer'].get('vocabulary', 'of the checkpoint')}"),
        _line(
            "runs",
            f"{count} training{'s' * (count > 1)} ({', '.join(methods)}; {seeds} seed{'s' * (seeds > 1)}) and TF-IDF",
        ),
        _line(
            "time",
            f"about {duration(new.choice.seconds)} of the {duration(new.granted)} granted, on {new.cores}"
            f" core{'s' * (new.cores > 1)}"
            + (f" ({speed} a job, measured now)" if speed else "")
            + f"; {duration(new.model_seconds)} of it train the model that you keep",
        ),
        _line("comparison", _comparison(new)),
        _line("cost", f"{flops:.2g} FLOPs of matrix products, {_bytes(disk)} of disk"),
    ]


def _comparison(new: NewTask) -> str:
    """The cost of the methods that `--compare` trains."""
    seconds = duration(new.comparison)
    if new.spec.compare:
        return f"task data only and random passages take {seconds} of this time (--compare)"
    return f"--compare would add task data only and random passages: {seconds} more for a model like this"


def _tokens(budget: dict[str, int]) -> str:
    if "tokens" in budget:
        return f"{budget['tokens']:,} tokens"
    return f"{budget['steps']:,} steps"


def _notes(new: NewTask) -> list[str]:
    corpus = new.found.corpus
    notes = [*new.found.task.notes, *(corpus.notes if corpus is not None else ()), *new.choice.notes]
    if new.choice.seconds > 1.1 * new.granted:
        notes.append(
            f"this will take longer than granted: give --budget {_rounded(new.choice.seconds)}, or use less text"
        )
    if new.found.corpus is not None and (
        difference := _language_difference(new.found.task.writing, new.found.corpus.writing)
    ):
        notes.append(difference)
    return ["", *(f"note: {note}" for note in notes)] if notes else []


def _language_difference(task: Writing, corpus: Writing) -> str | None:
    if task.script != corpus.script or (
        task.language and corpus.language and task.language != corpus.language
    ):
        return (
            f"the task looks like {task.language or task.script}, the corpus like {corpus.language or corpus.script}:"
            " its passages will help little"
        )
    return None


def _rounded(seconds: float) -> str:
    minutes = -(-seconds // 60)
    return f"{minutes:.0f}m" if minutes < 120 else f"{-(-minutes // 60):.0f}h"


def _bytes(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"

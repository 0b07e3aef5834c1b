"""Predictions for files of any size.

Place in the flow: `tlm predict`: reading → classifier → a writer of `tlm.formats`. One chunk of rows is in memory while
the next one is read and tokenized. Texts are cleaned as the task's texts were. Numbers are rounded to six decimals:
the digits behind depend on the order of sums, and so on the other texts of a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from tlm.artifacts import atomic_file
from tlm.errors import TlmError
from tlm.formats.registry import holds_lists, open_writer
from tlm.formats.tables import OPTIONS, Chunk, TableOptions, as_text
from tlm.progress import Progress
from tlm.serving.decisions import Outputs
from tlm.serving.folder import Columns
from tlm.serving.linear_classifier import TextClassifier
from tlm.serving.reading import ChunkReader, as_regular_file
from tlm.text import clean

CHUNK_ROWS = 8192
DIGITS = 6
PREDICTION, PROBABILITY = "prediction", "probability"
SEPARATOR = "|"

Item = TypeVar("Item")


@dataclass(frozen=True)
class PredictOptions:
    """The options of `tlm predict`: which columns hold the texts, and which columns are added."""

    text: tuple[str, ...] = ()
    pair: str | None = None
    names: tuple[str, ...] = ()
    """Columns of a file without a header line."""
    encoding: str | None = None
    kind: str | None = None
    delimiter: str | None = None
    quoting: bool | None = None
    """None: as the model's task."""
    sheet: str | None = None
    label_separator: str | None = None
    """Between the labels of a row in CSV and TSV."""
    prefix: str = ""
    """Prefix of the new columns' names: `prediction`, `probability` and, for each class, `probability_<class>`."""
    probabilities: bool = False
    """Add one column per class."""
    allow_empty: bool = False
    """Rows without a text get no prediction; otherwise they are an error."""
    rows: int = CHUNK_ROWS

    def columns(self, of_model: Columns) -> Columns:
        """The model's columns, replaced where the command line names others."""
        return replace(
            of_model,
            text=self.text or of_model.text,
            pair=self.pair or of_model.pair,
            names=self.names or of_model.names,
            encodings=(self.encoding,) if self.encoding else of_model.encodings,
            quoting=of_model.quoting if self.quoting is None else self.quoting,
            delimiter=self.delimiter or of_model.delimiter,
            sheet=self.sheet or of_model.sheet,
            separator=self.label_separator or of_model.separator,
        )

    def table(self, columns: Columns) -> TableOptions:
        """How the file is read to find `columns`."""
        pair = [columns.pair] if columns.pair else []
        flags = {**dict.fromkeys(columns.text, "--text"), **dict.fromkeys(pair, "--pair")}
        return TableOptions(
            kind=self.kind,
            names=columns.names,
            quoting=columns.quoting,
            delimiter=columns.delimiter,
            sheet=columns.sheet,
            encodings=columns.encodings,
            text=columns.text[0],
            required=(*columns.text, *pair),
            rows_may_lack=self.allow_empty,
            flags=flags,
            settings=OPTIONS,
        )


@dataclass
class Summary:
    """Counts of the predictions: rows, rows without a text, rows of each class, and rows without any label."""

    rows: int = 0
    empty: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    without_label: int = 0


def predict_file(
    classifier: TextClassifier, source: Path, destination: Path, options: PredictOptions
) -> Summary:
    """Write every row of `source`, with its prediction, to `destination`, in its order.

    `source` may be a .zip, whose members are read one after the other, or a pipe such as /dev/stdin. Raises TlmError
    naming the file, the row and the column of the first fault; then nothing is written.
    """
    columns = options.columns(classifier.served.columns)
    separator = separator_of(classifier, columns, holds_lists(destination))
    with as_regular_file(source) as (path, pipe):
        reader = ChunkReader(path, options.table(columns), options.rows, pipe)
        if destination.exists() and destination.samefile(path):
            raise TlmError(f"{destination}: input and output are the same file; name another --output")
        return _predict(classifier, reader, destination, separator, columns, options)


def _predict(
    classifier: TextClassifier,
    reader: ChunkReader,
    destination: Path,
    separator: str | None,
    columns: Columns,
    options: PredictOptions,
) -> Summary:
    progress = Progress("predict", reader.position.total, reader.position.unit, every=5.0)
    summary = Summary()
    name = Path(reader.shown or reader.path)
    try:
        with atomic_file(destination) as temporary, open_writer(temporary, destination, name) as write:
            for chunk, kept, encoded, position in _ahead(_encoded(classifier, reader, columns, options)):
                outputs = classifier.predict(encoded, _ticking(progress, position, len(kept), summary.rows))
                write(chunk, added_columns(classifier, outputs, kept, len(chunk.numbers), options, separator))
                count(summary, classifier, outputs, len(chunk.numbers))
                progress.add(position - progress.done, f"{summary.rows:,} rows")
    except OSError as error:
        raise TlmError(f"{destination}: cannot be written ({error.strerror or error})") from None
    progress.finish(f"{summary.rows:,} rows")
    return summary


def separator_of(classifier: TextClassifier, columns: Columns, lists: bool) -> str | None:
    """What separates the labels of a row in the output; None if it holds lists. Raises TlmError if a label holds it."""
    if lists or not classifier.served.problem.many:
        return None
    separator = columns.separator or SEPARATOR
    for label in classifier.served.labels:
        if separator in label:
            raise TlmError(
                f"the label {label!r} holds {separator!r}; name another --label-separator, or write .jsonl"
            )
    return separator


def _ticking(progress: Progress, position: int, texts: int, rows: int) -> Callable[[int], None]:
    """A callback that moves the progress evenly to `position`, the end of a chunk of `texts`, after `rows` rows."""
    start, done = progress.done, 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        reached = start + (position - start) * done // texts
        progress.add(reached - progress.done, f"{rows + done:,} rows")

    return tick


def _encoded(
    classifier: TextClassifier, reader: ChunkReader, columns: Columns, options: PredictOptions
) -> Iterator[tuple[Chunk, list[int], Any, int]]:
    """For each chunk: its rows, the indices of rows with a text, the model's inputs, and the position in the file."""
    for chunk in reader.chunks():
        source = reader.position.source
        _check_new_names(chunk, source, options)
        texts = _texts(chunk, source, columns.text)
        pairs = None if columns.pair is None else _texts(chunk, source, (columns.pair,), "--pair")
        kept = [place for place, text in enumerate(texts) if text and (pairs is None or pairs[place])]
        if len(kept) < len(texts) and not options.allow_empty:
            place = first_missing(kept)
            where = columns.pair if texts[place] else " and ".join(columns.text)
            raise TlmError(
                f"{source}: row {chunk.numbers[place]}: no text in column {where}; give it one, or leave its"
                " prediction empty with --allow-empty"
            )
        chosen = [texts[place] for place in kept]
        chosen_pairs = None if pairs is None else [pairs[place] for place in kept]
        yield chunk, kept, classifier.encode(chosen, chosen_pairs), reader.position.done


def first_missing(kept: Sequence[int]) -> int:
    """The first place that is not among `kept`, which are in order."""
    return next((place for place, each in enumerate(kept) if place != each), len(kept))


def _check_new_names(chunk: Chunk, source: str, options: PredictOptions) -> None:
    new = (f"{options.prefix}{PREDICTION}", f"{options.prefix}{PROBABILITY}")
    for name in chunk.names:
        if name in new or name.startswith(f"{new[1]}_"):
            raise TlmError(f"{source}: has a column {name!r} already; rename the new columns with --prefix")


def _texts(chunk: Chunk, source: str, names: Sequence[str], option: str = "--text") -> list[str]:
    """The columns joined by a space and cleaned, as the task's texts were; an empty string for a missing text."""
    columns = [chunk.values(name) for name in names]
    return [
        clean(
            " ".join(
                as_text(value, f"{source}: row {number}", name, option) or ""
                for name, value in zip(names, values, strict=True)
            )
        )
        for number, values in zip(chunk.numbers, zip(*columns, strict=True), strict=True)
    ]


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one made while the last one is used."""
    with ThreadPoolExecutor(1) as pool:
        end = object()
        waiting = pool.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def added_columns(
    classifier: TextClassifier,
    outputs: Outputs,
    kept: list[int],
    rows: int,
    options: PredictOptions,
    separator: str | None,
) -> dict[str, pa.Array]:
    """The new columns, nothing where a row has no text."""
    places = np.full(rows, -1)
    places[kept] = np.arange(len(kept))
    taken = pa.array(places, mask=places < 0)
    return {
        name: pa.array(values).take(taken)
        for name, values in _columns(classifier, outputs, options, separator).items()
    }


def _label_sets(
    sets: list[list[str]], outputs: Outputs, rounded: np.ndarray, separator: str | None
) -> tuple[pa.Array, pa.Array]:
    """The predicted labels of each row and their probabilities: lists, or texts with `separator`."""
    chances = [line[inside].tolist() for line, inside in zip(rounded, outputs.predictions, strict=True)]
    if separator is None:
        return pa.array(sets, pa.list_(pa.string())), pa.array(chances, pa.list_(pa.float64()))
    texts = [separator.join(each) for each in sets]
    return pa.array(texts, pa.string()), pa.array(
        [separator.join(map(str, each)) for each in chances], pa.string()
    )


def _columns(
    classifier: TextClassifier, outputs: Outputs, options: PredictOptions, separator: str | None
) -> dict[str, Any]:
    """Predictions column by column: class and its probability, those of all classes if wanted; or the number.

    Several labels and their probabilities are lists, or texts with `separator` between them.
    """
    prediction, probability = f"{options.prefix}{PREDICTION}", f"{options.prefix}{PROBABILITY}"
    if outputs.probabilities is None:
        return {prediction: np.round(outputs.predictions.astype(np.float64), DIGITS)}
    labels, problem = classifier.served.labels, classifier.served.problem
    rounded = np.round(outputs.probabilities.astype(np.float64), DIGITS)
    if problem.many:
        sets = problem.values(outputs.predictions, labels)
        both = _label_sets(sets, outputs, rounded, separator)
        found: dict[str, Any] = dict(zip((prediction, probability), both, strict=True))
    else:
        chosen = pa.array(labels, pa.string()).take(pa.array(outputs.predictions, pa.int64()))
        best = rounded[np.arange(len(rounded)), outputs.predictions]
        found = {prediction: chosen, probability: best}
    if options.probabilities:
        found |= {f"{probability}_{label}": rounded[:, place] for place, label in enumerate(labels)}
    return found


def count(summary: Summary, classifier: TextClassifier, outputs: Outputs, rows: int) -> None:
    """Add the predictions of some rows to the summary."""
    summary.rows += rows
    problem, labels = classifier.served.problem, classifier.served.labels
    summary.empty += rows - len(outputs.predictions)
    if not problem.has_labels:
        return
    found = problem.values(outputs.predictions, labels)
    summary.classes.update(label for each in found for label in (each if problem.many else [each]))
    summary.without_label += sum(not each for each in found)

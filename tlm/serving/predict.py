"""Predictions for files of any size, and for lines as they come through a pipe.

Place in the flow: `tlm predict`: reading → classifier → writing. A chunk of rows is in memory at a time, and the next
one is read and tokenized meanwhile. Texts are cleaned as those of the task were. Numbers are rounded to six digits
behind the point: what differs beyond them is the order of sums, which depends on the batch that a text is in.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import numpy as np
import pyarrow as pa

from tlm.artifacts import atomic_file
from tlm.errors import TlmError
from tlm.evaluation.predict import Encoded
from tlm.progress import Progress
from tlm.serving.classifier import Classifier, Outputs
from tlm.serving.folder import Columns
from tlm.serving.reading import ABSENT, Chunk, Reader
from tlm.serving.writing import writing
from tlm.text import clean

CHUNK_ROWS = 8192
DIGITS = 6
PREDICTION, PROBABILITY = "prediction", "probability"
_READ = 1 << 16  # bytes taken from a pipe at once, at most

Item = TypeVar("Item")


@dataclass(frozen=True)
class Asked:
    """How predictions are to look, and where the texts stand if not where the model says."""

    text: tuple[str, ...] = ()
    pair: str | None = None
    names: tuple[str, ...] = ()
    """Columns of a file without a header line."""
    encoding: str | None = None
    prefix: str = ""
    """Before the names of the new columns: `prediction`, `probability`, and of each class `probability_<class>`."""
    probabilities: bool = False
    """Also one column a class."""
    allow_empty: bool = False
    """Rows without a text get no prediction, instead of ending the work."""
    rows: int = CHUNK_ROWS

    def columns(self, said: Columns) -> Columns:
        """Where to read, with what the command line says laid over what the model says."""
        return replace(
            said,
            text=self.text or said.text,
            pair=self.pair or said.pair,
            names=self.names or said.names,
            encodings=(self.encoding,) if self.encoding else said.encodings,
        )


@dataclass
class Told:
    """What was predicted: rows, rows without a text, and how often each class."""

    rows: int = 0
    empty: int = 0
    classes: Counter[str] = field(default_factory=Counter)


def predict_file(classifier: Classifier, source: Path, destination: Path, asked: Asked) -> Told:
    """Write every row of `source`, with its prediction, to `destination`, in its order.

    Raises TlmError naming the file, the row and the column of the first fault; then nothing is written.
    """
    columns = asked.columns(classifier.served.columns)
    reader = Reader(source, columns, asked.rows)
    if destination.exists() and destination.samefile(source):
        raise TlmError(f"{destination}: is the input; name another output")
    progress = Progress("predict", reader.position.total, reader.position.unit, every=5.0)
    told = Told()
    try:
        with atomic_file(destination) as temporary, writing(temporary, destination, source) as write:
            for chunk, kept, encoded, position in _ahead(_encoded(classifier, reader, columns, asked)):
                outputs = classifier.predict(encoded, _ticking(progress, position, len(kept), told.rows))
                write(chunk, _added(classifier, outputs, kept, len(chunk.numbers), asked))
                _count(told, classifier, outputs, len(chunk.numbers))
                progress.add(position - progress.done, f"{told.rows:,} rows")
    except OSError as error:
        raise TlmError(f"{destination}: cannot be written ({error.strerror or error})") from None
    progress.finish(f"{told.rows:,} rows")
    return told


def _ticking(progress: Progress, position: int, texts: int, rows: int) -> Callable[[int], None]:
    """Moves the progress evenly to `position`, where a chunk of `texts` ends; `rows` were done before."""
    start, done = progress.done, 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        reached = start + (position - start) * done // texts
        progress.add(reached - progress.done, f"{rows + done:,} rows")

    return tick


def _encoded(
    classifier: Classifier, reader: Reader, columns: Columns, asked: Asked
) -> Iterator[tuple[Chunk, list[int], Encoded, int]]:
    """Chunk by chunk the rows, the places of those with a text, these as tokens, and how far the file is read."""
    for number, chunk in enumerate(reader.chunks()):
        _check_columns(chunk, reader.path, columns, asked, first=number == 0)
        texts = _texts(chunk, reader.path, columns.text)
        pairs = None if columns.pair is None else _texts(chunk, reader.path, (columns.pair,))
        kept = [place for place, text in enumerate(texts) if text and (pairs is None or pairs[place])]
        if len(kept) < len(texts) and not asked.allow_empty:
            place = _first_missing(kept)
            where = columns.pair if texts[place] else " and ".join(columns.text)
            raise TlmError(
                f"{reader.path}: row {chunk.numbers[place]}: no text in column {where}; give it one, or leave its"
                " prediction empty with --allow-empty"
            )
        chosen = [texts[place] for place in kept]
        chosen_pairs = None if pairs is None else [pairs[place] for place in kept]
        yield chunk, kept, classifier.encode(chosen, chosen_pairs), reader.position.done


def _first_missing(kept: Sequence[int]) -> int:
    """The first place that is not among `kept`, which are in order."""
    return next((place for place, each in enumerate(kept) if place != each), len(kept))


def _check_columns(chunk: Chunk, path: Path, columns: Columns, asked: Asked, *, first: bool) -> None:
    wanted = [*columns.text, *([columns.pair] if columns.pair else [])]
    # A later chunk of JSON Lines may lack what others have: these are rows without a text.
    for name in wanted if first else ():
        if name not in chunk.names:
            there = ", ".join(chunk.names) or "none"
            flag = "--pair" if name == columns.pair else "--text"
            raise TlmError(f"{path}: no column {name!r}; there are {there}: say which with {flag}")
    new = (f"{asked.prefix}{PREDICTION}", f"{asked.prefix}{PROBABILITY}")
    for name in chunk.names:
        if name in new or name.startswith(f"{new[1]}_"):
            raise TlmError(
                f"{path}: has a column {name!r} already; put something before the new ones: --prefix"
            )


def _texts(chunk: Chunk, path: Path, names: Sequence[str]) -> list[str]:
    """The columns joined by a space and cleaned, as the task's own texts were; empty where there is nothing."""
    absent = [ABSENT] * len(chunk.numbers)
    columns = [chunk.values(name) if name in chunk.names else absent for name in names]
    found = []
    for place, values in enumerate(zip(*columns, strict=True)):
        for name, value in zip(names, values, strict=True):
            if isinstance(value, (list, dict, bytes)):
                raise TlmError(
                    f"{path}: row {chunk.numbers[place]}: column {name!r} holds no text but a {type(value).__name__}"
                )
        found.append(clean(" ".join("" if v is None or v is ABSENT else str(v) for v in values)))
    return found


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, the next one made while the last one is used."""
    with ThreadPoolExecutor(1) as pool:
        end = object()
        waiting = pool.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def _added(
    classifier: Classifier, outputs: Outputs, kept: list[int], rows: int, asked: Asked
) -> dict[str, pa.Array]:
    """The new columns, nothing where a row has no text."""
    places = np.full(rows, -1)
    places[kept] = np.arange(len(kept))
    taken = pa.array(places, mask=places < 0)
    return {
        name: pa.array(values).take(taken) for name, values in _columns(classifier, outputs, asked).items()
    }


def _columns(classifier: Classifier, outputs: Outputs, asked: Asked) -> dict[str, Any]:
    """Predictions column by column: class and its probability, those of all classes if asked; or the number."""
    prediction, probability = f"{asked.prefix}{PREDICTION}", f"{asked.prefix}{PROBABILITY}"
    if outputs.numbers is not None:
        return {prediction: np.round(outputs.numbers, DIGITS)}
    assert outputs.classes is not None and outputs.probabilities is not None
    labels = classifier.served.labels
    rounded = np.round(outputs.probabilities.astype(np.float64), DIGITS)
    chosen = pa.array(labels, pa.string()).take(pa.array(outputs.classes, pa.int64()))
    best = rounded[np.arange(len(rounded)), outputs.classes]
    found = {prediction: chosen, probability: best}
    if asked.probabilities:
        found |= {f"{probability}_{label}": rounded[:, place] for place, label in enumerate(labels)}
    return found


def _count(told: Told, classifier: Classifier, outputs: Outputs, rows: int) -> None:
    told.rows += rows
    some = outputs.numbers if outputs.classes is None else outputs.classes
    assert some is not None
    told.empty += rows - len(some)
    if outputs.classes is not None:
        told.classes.update(classifier.served.labels[place] for place in outputs.classes)


def predict_lines(
    classifier: Classifier, stream: IO[bytes], out: IO[str], asked: Asked, form: Literal["tsv", "jsonl"]
) -> Told:
    """A line in, a line out, at once: what a pipe has ready is predicted together and flushed.

    The two texts of a pair are parted by a tab. Raises TlmError naming the line that is not UTF-8, has no text, or is
    no pair where pairs are read.
    """
    told, rest, number = Told(), b"", 0
    pair = asked.columns(classifier.served.columns).pair is not None
    while data := os.read(stream.fileno(), _READ):
        *lines, rest = (rest + data).split(b"\n")
        _answer(classifier, lines, number, out, asked, form, pair, told)
        number += len(lines)
    if rest:
        _answer(classifier, [rest], number, out, asked, form, pair, told)
    return told


def _answer(
    classifier: Classifier,
    lines: Sequence[bytes],
    before: int,
    out: IO[str],
    asked: Asked,
    form: Literal["tsv", "jsonl"],
    pair: bool,
    told: Told,
) -> None:
    """Predict some lines and write their answers."""
    if not lines:
        return
    texts = [_line(line, before + place, pair) for place, line in enumerate(lines, 1)]
    kept = [place for place, parts in enumerate(texts) if all(parts)]
    if len(kept) < len(texts) and not asked.allow_empty:
        place = _first_missing(kept)
        raise TlmError(
            f"line {before + place + 1}: no text; answer such lines with an empty one: --allow-empty"
        )
    firsts = [texts[place][0] for place in kept]
    outputs = classifier.predict(
        classifier.encode(firsts, [texts[place][1] for place in kept] if pair else None)
    )
    added = _added(classifier, outputs, kept, len(lines), asked)
    keys = ["text", "text_pair"][: 1 + pair]
    for parts, *values in zip(texts, *(each.to_pylist() for each in added.values()), strict=True):
        if form == "jsonl":
            said = dict(zip([*keys, *added], [*parts, *values], strict=True))
            out.write(json.dumps(said, ensure_ascii=False) + "\n")
        else:
            out.write("\t".join("" if value is None else str(value) for value in values) + "\n")
    out.flush()
    _count(told, classifier, outputs, len(lines))


def _line(line: bytes, number: int, pair: bool) -> tuple[str, ...]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TlmError(f"line {number}: not UTF-8 (byte 0x{error.object[error.start]:02x})") from None
    if not pair:
        return (clean(text),)
    first, tab, second = text.partition("\t")
    if not tab and text.strip():
        raise TlmError(f"line {number}: this model reads pairs; part the two texts by a tab")
    return clean(first), clean(second)

"""Predictions for lines as they come through a pipe.

Place in the flow: `tlm predict` without `--input`; files are predicted by `tlm.serving.predict`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import IO, Literal

from tlm.errors import TlmError
from tlm.serving.linear_classifier import TextClassifier
from tlm.serving.predict import PredictOptions, Summary, added_columns, count, first_missing, separator_of
from tlm.text import clean

_READ = 1 << 16  # bytes taken from a pipe at once, at most


def predict_lines(
    classifier: TextClassifier,
    stream: IO[bytes],
    out: IO[str],
    options: PredictOptions,
    form: Literal["tsv", "jsonl"],
) -> Summary:
    """A line in, a line out, at once: what a pipe has ready is predicted together and flushed.

    The two texts of a pair are parted by a tab. Raises TlmError naming the line that is not UTF-8, has no text, or is
    no pair where pairs are read.
    """
    summary, rest, number = Summary(), b"", 0
    pair = options.columns(classifier.served.columns).pair is not None
    while data := os.read(stream.fileno(), _READ):
        *lines, rest = (rest + data).split(b"\n")
        _answer(classifier, lines, number, out, options, form, pair, summary)
        number += len(lines)
    if rest:
        _answer(classifier, [rest], number, out, options, form, pair, summary)
    return summary


def _answer(
    classifier: TextClassifier,
    lines: Sequence[bytes],
    before: int,
    out: IO[str],
    options: PredictOptions,
    form: Literal["tsv", "jsonl"],
    pair: bool,
    summary: Summary,
) -> None:
    """Predict some lines and write their answers."""
    if not lines:
        return
    texts = [_line(line, before + place, pair) for place, line in enumerate(lines, 1)]
    kept = [place for place, parts in enumerate(texts) if all(parts)]
    if len(kept) < len(texts) and not options.allow_empty:
        place = first_missing(kept)
        raise TlmError(
            f"line {before + place + 1}: no text; answer such lines with an empty one: --allow-empty"
        )
    firsts = [texts[place][0] for place in kept]
    outputs = classifier.predict(
        classifier.encode(firsts, [texts[place][1] for place in kept] if pair else None)
    )
    separator = separator_of(classifier, options.columns(classifier.served.columns), form == "jsonl")
    added = added_columns(classifier, outputs, kept, len(lines), options, separator)
    keys = ["text", "text_pair"][: 1 + pair]
    for parts, *values in zip(texts, *(each.to_pylist() for each in added.values()), strict=True):
        if form == "jsonl":
            row = dict(zip([*keys, *added], [*parts, *values], strict=True))
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            out.write("\t".join("" if value is None else str(value) for value in values) + "\n")
    out.flush()
    count(summary, classifier, outputs, len(lines))


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

"""Parsers of tasks: files of a source become labelled examples.

Place in the flow: between sources and `tlm.tasks.build`, which checks, splits and writes the examples. A parser yields
every row, also a faulty one: `build` alone decides what a fault is.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlm.config.data import TaskSpec
from tlm.config.parser_specs import Delimited, MedlineSentences, Split, TextFolders
from tlm.formats.files import Input, find, open_text
from tlm.formats.registry import read_rows
from tlm.formats.tables import Setting, declared_options
from tlm.problems import PROBLEMS
from tlm.sources.medline import CATEGORIES, articles
from tlm.tasks.label_sets import Label, flagged_labels, listed_labels, renamed
from tlm.text import clean, sentences


@dataclass(frozen=True)
class Example:
    """One row of a task, unchecked. A missing label or text is an empty string."""

    text: str
    label: Label
    document: str  # rows of the same document stay in the same split
    where: str  # file and row, for messages
    text_pair: str | None = None
    split: Split | None = None


def parse_examples(spec: TaskSpec, source_dir: Path, left_out: Counter[str]) -> Iterator[Example]:
    """The examples of a task in the order of its files. `left_out` counts what a parser leaves out."""
    parser = spec.parser
    if isinstance(parser, Delimited):
        many = PROBLEMS[spec.problem].many
        return delimited(parser, _inputs(parser, source_dir), left_out, many=many)
    if isinstance(parser, TextFolders):
        return _text_folders(parser, source_dir, left_out)
    return _medline_sentences(parser, source_dir, left_out)


def _inputs(parser: Delimited | TextFolders, source_dir: Path) -> list[tuple[Split | None, Input]]:
    """The parser's files, each with its declared split; None if it has none."""
    if parser.splits is None:
        return [(None, source) for source in find(source_dir, parser.files)]
    return [(split, source) for split, globs in parser.splits.items() for source in find(source_dir, globs)]


def delimited(
    parser: Delimited,
    inputs: Sequence[tuple[Split | None, Input]],
    left_out: Counter[str],
    flags: Mapping[str, str] | None = None,
    settings: Mapping[Setting, str] | None = None,
    *,
    many: bool = False,
) -> Iterator[Example]:
    """The rows of files, each with the split to which it was given, if any.

    `many`: a row has any number of labels. For error messages: `flags`, column → command-line option; `settings`,
    setting of a reader → command-line option.
    """
    texts = [parser.text] if isinstance(parser.text, str) else parser.text
    labels = parser.label_columns or [parser.label]
    wanted = [*texts, *labels, *parser.where]
    wanted += [column for column in (parser.text_pair, parser.document) if column]
    options = declared_options(parser, wanted, flags, settings)
    if many:
        options = replace(options, raw=tuple(labels))
    for split, source in inputs:
        for number, values in read_rows(source, options):
            if any(str(values[column]) not in allowed for column, allowed in parser.where.items()):
                left_out["rows outside `where`"] += 1
                continue
            where = f"{source}: row {number}"
            label = _label_set(parser, values, where, flags) if many else _one_label(parser, values)
            text = clean(" ".join(values[column] or "" for column in texts))
            pair = clean(values[parser.text_pair] or "") if parser.text_pair else None
            if parser.skip_empty and (not text or label == "" or pair == ""):
                left_out["rows without text or label"] += 1
                continue
            yield Example(
                text=text,
                label=label,
                document=(values[parser.document] or "") if parser.document else where,
                where=where,
                text_pair=pair,
                split=split,
            )


def _one_label(parser: Delimited, values: Mapping[str, Any]) -> Label:
    return renamed(clean(values[parser.label] or ""), parser.label_names)


def _label_set(
    parser: Delimited, values: Mapping[str, Any], where: str, flags: Mapping[str, str] | None
) -> Label:
    """The labels of a row of a multi-label task; empty text if they are missing."""
    if parser.label_columns:
        found: tuple[str, ...] | None = flagged_labels(values, parser.label_columns, where)
    else:
        option = "--label-separator" if flags else "`label_separator:`"
        found = listed_labels(
            values[parser.label], parser.label_separator, where, parser.label, option=option
        )
    return "" if found is None else renamed(found, parser.label_names)


def _text_folders(parser: TextFolders, source_dir: Path, left_out: Counter[str]) -> Iterator[Example]:
    for split, source in _inputs(parser, source_dir):
        with open_text(source, parser.encodings) as stream:
            text = clean(stream.read())
            if stream.encoding not in ("utf-8-sig", codecs.lookup(parser.encodings[0]).name):
                left_out[f"files read as {stream.encoding}, not {parser.encodings[0]} (kept)"] += 1
        name = source.path.relative_to(source_dir).as_posix()
        label = source.path.parent.name
        yield Example(text=text, label=label, document=name, where=str(source), split=split)


def _medline_sentences(
    parser: MedlineSentences, source_dir: Path, left_out: Counter[str]
) -> Iterator[Example]:
    for article in articles(find(source_dir, parser.files)):
        if not article.labelled:
            left_out["articles without a labelled section"] += 1
            continue
        for category, text in article.sections:
            if category not in CATEGORIES:
                left_out["sections without one of the five categories"] += 1
                continue
            for number, sentence in enumerate(sentences(text), 1):
                where = f"{parser.files}: PMID {article.pmid}, {category} sentence {number}"
                yield Example(text=sentence, label=category, document=article.pmid, where=where)

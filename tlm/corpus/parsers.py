"""Parsers of corpora: files of a source become documents, each a list of clean paragraphs.

Place in the flow: between sources and `tlm.corpus.build`, which cuts documents into passages. A parser counts the rows
and texts that it leaves out.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lxml import html

from tlm.config.data import CorpusPart
from tlm.config.parser_specs import Botocore, Delimited, MedlineAbstracts, Mixed, Text
from tlm.errors import TlmError
from tlm.formats.files import Input, find, open_bytes, open_text
from tlm.formats.registry import format_of, read_chunks, read_rows
from tlm.formats.tables import KEYS, Setting, declared_options
from tlm.sources.medline import articles
from tlm.text import clean, paragraphs

Document = list[str]  # its paragraphs


def units(part: CorpusPart, source_dir: Path) -> list[list[Input]]:
    """The files of a part, in groups that can be read independently of each other.

    All MEDLINE or botocore files form one group, because they repeat content (versions of an article, of a service).
    """
    parser = part.parser
    if isinstance(parser, Delimited) and parser.splits is not None:
        found = [file for globs in parser.splits.values() for file in find(source_dir, globs)]
    else:
        found = find(source_dir, parser.files)
    if isinstance(parser, (MedlineAbstracts, Botocore)):
        return [found]
    return [[file] for file in found]


def documents(
    part: CorpusPart,
    files: Sequence[Input],
    left_out: Counter[str],
    flags: Mapping[str, str] | None = None,
    settings: Mapping[Setting, str] | None = None,
) -> Iterator[Document]:
    """The documents of one unit, in order. Empty ones are skipped and counted in `left_out`.

    For error messages: `flags`, column → command-line option; `settings`, setting of a reader → command-line option.
    """
    parser = part.parser
    if isinstance(parser, Mixed):
        found = _mixed(parser, files, left_out, flags, settings)
    elif isinstance(parser, Delimited):
        found = _delimited(parser, files, left_out, flags, settings)
    elif isinstance(parser, Text):
        found = _text(parser, files, settings)
    elif isinstance(parser, MedlineAbstracts):
        found = _medline_abstracts(files, left_out)
    else:
        found = _botocore(files, left_out)
    for document in found:
        if document:
            yield document
        else:
            left_out["empty texts"] += 1


def _mixed(
    parser: Mixed,
    files: Sequence[Input],
    left_out: Counter[str],
    flags: Mapping[str, str] | None,
    settings: Mapping[Setting, str] | None,
) -> Iterator[Document]:
    """The documents of a unit's one file, by the format of its suffix. Raises TlmError for an unknown suffix."""
    (file,) = files
    common = {"files": parser.files, "encodings": parser.encodings}
    form = format_of(file)
    if form.whole:
        options = replace(declared_options(as_delimited(parser), (), flags, settings), text="text")
        return (paragraphs(text) for chunk in read_chunks(file, options, 1) for text in chunk.values("text"))
    if form.columns:
        return _delimited(as_delimited(parser), files, left_out, flags, settings)
    text = Text(format="text", unit=parser.unit, lines=parser.lines, **common)
    return _text(text, files, settings)


def as_delimited(parser: Mixed) -> Delimited:
    """How the files with columns are read."""
    shared = parser.model_dump(include={"files", "text", "encodings", "quoting", "delimiter", "sheet"})
    return Delimited(format="delimited", **shared)


def _delimited(
    parser: Delimited,
    files: Sequence[Input],
    left_out: Counter[str],
    flags: Mapping[str, str] | None,
    settings: Mapping[Setting, str] | None,
) -> Iterator[Document]:
    texts = [parser.text] if isinstance(parser.text, str) else parser.text
    options = declared_options(parser, [*texts, *parser.where], flags, settings)
    for file in files:
        for _, values in read_rows(file, options):
            if any(str(values[column]) not in allowed for column, allowed in parser.where.items()):
                left_out["rows outside `where`"] += 1
                continue
            yield [part for column in texts for part in paragraphs(values[column] or "")]


def _text(parser: Text, files: Sequence[Input], settings: Mapping[Setting, str] | None) -> Iterator[Document]:
    option = (settings or KEYS)["encodings"]
    for file in files:
        with open_text(file, parser.encodings, option=option) as stream:
            if parser.unit == "file":
                yield paragraphs(stream.read())
            elif parser.unit == "line":
                yield from ([line] for line in map(clean, stream) if line)
            elif parser.unit == "lines":
                filled_lines = (line for line in map(clean, stream) if line)
                while block := list(itertools.islice(filled_lines, parser.lines)):
                    yield block
            else:
                for filled, lines in itertools.groupby(map(clean, stream), key=bool):
                    if filled:
                        yield [" ".join(lines)]


def _medline_abstracts(files: Sequence[Input], left_out: Counter[str]) -> Iterator[Document]:
    for article in articles(files):
        if article.labelled:
            left_out["articles that serve the task"] += 1
        else:
            yield [text for _, text in article.sections]


# Tags that end a line; lxml handles tags inside a line (code, a, i, b).
_BLOCK = re.compile(r"</?(?:p|li|ul|ol|dl|dt|dd|div|note|important|h\d|br|table|tr|td|th|pre)\b[^>]*>", re.I)


def strip_html(text: str) -> str:
    """The text of an HTML fragment, with blank lines between its blocks."""
    if "<" not in text and "&" not in text:
        return text
    broken = _BLOCK.sub("\n\n", text)
    if "<" not in broken and "&" not in broken:
        return broken
    return str(html.fragment_fromstring(broken, create_parent="div").text_content())


def _botocore(files: Sequence[Input], left_out: Counter[str]) -> Iterator[Document]:
    """A document per service model, without the paragraphs that occurred before."""
    seen: set[bytes] = set()
    for file in files:
        with open_bytes(file) as stream:
            try:
                model = json.load(stream)
            except ValueError as error:  # also of a wrong encoding
                raise TlmError(f"{file}: not JSON ({error})") from None
        document: Document = []
        for text in _documentation(model):
            for paragraph in paragraphs(strip_html(text)):
                digest = blake2b(paragraph.encode(), digest_size=8).digest()
                if digest in seen:
                    left_out["repeated paragraphs"] += 1
                    continue
                seen.add(digest)
                document.append(paragraph)
        yield document


def _documentation(value: Any) -> Iterator[str]:
    """The strings under the key `documentation`, at any depth, in order."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "documentation" and isinstance(each, str):
                yield each
            else:
                yield from _documentation(each)
    elif isinstance(value, list):
        for each in value:
            yield from _documentation(each)

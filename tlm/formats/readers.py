"""The reader of each format: a file → chunks of rows.

Place in the flow: named in the table of `tlm.formats.registry`. A reader holds one chunk in memory. It yields at least
one chunk, of an empty file an empty one, and raises TlmError naming the file and the row that it cannot read.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree, html

from tlm.errors import TlmError
from tlm.formats.compression import split_suffix
from tlm.formats.files import Input, Watch, open_bytes, open_text
from tlm.formats.tables import Chunk, TableOptions, check_header, column_path

_LABEL = re.compile(r"(?<!\S)__label__(\S+)")
_SKIPPED = (
    "script",
    "style",
    "nav",
    "header",
    "footer",
    "aside",
    "form",
    "noscript",
    "template",
    "svg",
    "iframe",
)
_BLOCKS = {
    *(
        "p",
        "div",
        "section",
        "article",
        "main",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "li",
        "ul",
        "ol",
        "dl",
        "dt",
        "dd",
    ),
    *("table", "tr", "td", "th", "pre", "blockquote", "figure", "figcaption", "br", "hr", "title", "body"),
}


def read_lines(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """One text per line, as the column `options.text`; a blank line is an empty text."""
    check_header(source, [options.text], options)
    number = 0
    with open_text(source, options.encodings, watch, options.settings["encodings"]) as stream:
        while (some := list(islice(stream, rows))) or not number:
            texts = [line.rstrip("\r\n") for line in some]
            yield Chunk(range(number + 1, number + 1 + len(texts)), {options.text: texts})
            number += max(1, len(texts))


def read_fasttext(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """fastText's `__label__x text`: the columns `label` and `options.text`. A line with several labels has a list.

    If `label` is one of `options.raw`, every line has a list.
    """
    lists = "label" in options.raw
    check_header(source, ["label", options.text], options)
    for chunk in read_lines(source, replace(options, required=()), rows, watch):
        pairs = list(zip(chunk.numbers, chunk.values(options.text), strict=True))
        kept = [(number, line) for number, line in pairs if line.strip()]
        labels = [_LABEL.findall(line) for _, line in kept]
        columns: dict[str, list[Any]] = {
            "label": labels if lists else [each[0] if len(each) == 1 else each or None for each in labels],
            options.text: [_LABEL.sub(" ", line).strip() for _, line in kept],
        }
        yield Chunk([number for number, _ in kept], columns)


def is_fasttext(source: Input) -> bool:
    """Whether the first line of a text file begins with a label of fastText."""
    try:
        with open_bytes(source) as stream:
            start = stream.read(1 << 10)
    except TlmError:
        return False
    return start.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"__label__")


def read_html(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """A web page as one text, its paragraphs separated by blank lines.

    Reads the `<article>` or `<main>` element if there is one. Leaves out scripts, menus, forms and footers.
    """
    check_header(source, [options.text], options)
    with open_bytes(source, watch) as stream:
        content = stream.read()
    # The page's own declaration decides its encoding, unless the user names one.
    named = None if options.encodings == ("utf-8",) and b"charset" in content[:4096] else options.encodings[0]
    try:
        page = html.document_fromstring(
            content or b" ", parser=html.HTMLParser(encoding=named, huge_tree=True)
        )
    except (etree.LxmlError, LookupError, ValueError) as error:
        if content.strip():
            raise TlmError(f"{source}: not HTML ({error})") from None
        yield Chunk([1], {options.text: [""]})
        return
    yield Chunk([1], {options.text: [_page_text(page)]})


def _page_text(page: Any) -> str:
    etree.strip_elements(page, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    etree.strip_elements(page, *_SKIPPED, with_tail=False)
    found = page.xpath("//article[not(ancestor::article)]") or page.xpath("//main") or [page]
    parts: list[str] = []
    for root in found:
        for event, each in etree.iterwalk(root, events=("start", "end")):
            if each.tag in _BLOCKS:
                parts.append("\n\n")
            text = each.text if event == "start" else each.tail if each is not root else None
            parts.append(text or "")
    return "".join(parts)


def read_parquet(source: Input, options: TableOptions, rows: int, watch: Watch | None) -> Iterator[Chunk]:
    """Parquet. `watch` is not used: Parquet is not read from its beginning to its end."""
    with _parquet(source) as file:
        names = file.schema_arrow.names
        check_header(source, names, options, nested=True)
        roots = [column_path(name, names)[0] or name for name in options.required]
        columns = list(dict.fromkeys(roots)) if options.only_required else names
        number = 0
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            batch.validate(full=True)  # text that is not UTF-8 raises here
            numbers = range(number + 1, number + 1 + batch.num_rows)
            number += batch.num_rows
            yield Chunk(numbers, {}, pa.Table.from_batches([batch]))
        if not number:
            yield Chunk([], {}, file.schema_arrow.empty_table().select(columns))


def count_parquet_rows(source: Input) -> int | None:
    """The number of rows by the file's footer; None for a compressed file, which would have to be read first."""
    if split_suffix(source.name)[1]:
        return None
    with _parquet(source) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _parquet(source: Input) -> Iterator[pq.ParquetFile]:
    try:
        with open_bytes(source) as stream:
            seekable: IO[bytes] = stream if stream.seekable() else io.BytesIO(stream.read())
            with pq.ParquetFile(seekable) as file:
                yield file
    except pa.ArrowException as error:
        raise TlmError(f"{source}: not a Parquet file, or a broken one ({error})") from None

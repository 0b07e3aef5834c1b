"""Parsers: how the files of a source are read into rows of a task or documents of a corpus.

Place in the flow: `parser:` of config/tasks.yaml and config/corpora.yaml → here → `tlm.config.data`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from tlm.config.base import Strict, added

Split = Literal["train", "dev", "test"]
Globs = str | list[str]
Unit = Literal["paragraph", "line", "lines", "file"]


class Delimited(Strict):
    """Rows of CSV, TSV, JSON, Parquet, Excel or fastText, also compressed (.gz, .bz2, .xz, .zst) or inside a .zip."""

    format: Literal["delimited"]
    files: Globs = "**/*"
    """Which files of the source; in the order of the globs, then of the names."""
    kind: str | None = None
    """Format of the files (csv, tsv, jsonl, json, parquet, excel, fasttext); by default their suffix decides."""
    columns: list[str] | None = None
    """Names of the columns of a CSV, TSV or sheet without a header line."""
    text: str | list[str] = "text"
    """The column with the text, or several that are joined by a space; `a.b` is the key b of objects in column a."""
    text_pair: str | None = None
    label: str = "label"
    label_separator: str | None = added(None, min_length=1)
    """For multi_label: what separates the labels in the text of column `label`; by default the column holds lists."""
    label_columns: list[str] | None = added(None, min_length=2)
    """For multi_label: one column per label, which holds 0 or 1, instead of the column `label`."""
    document: str | None = None
    """Column that names the document to which a row belongs (for `by: document`)."""
    where: dict[str, list[str]] = Field({})
    """Keep only the rows whose column holds one of these values."""
    splits: dict[Split, Globs] | None = None
    """Which files belong to which given split, instead of `files`."""
    quoting: bool = True
    """Off for TSV files that use quotation marks as plain characters."""
    delimiter: str | None = added(None, min_length=1, max_length=1)
    """The character between the fields of a CSV or TSV; by default recognised (comma, semicolon, tab, vertical bar)."""
    sheet: str | None = added(None)
    """The sheet of a workbook; by default its only sheet with cells."""
    skip_empty: bool = added(False)
    """Leave out rows without a text or a label, and count them, instead of refusing the file (tasks only)."""
    label_names: dict[str, str] = {}
    """Label in the file → name of the label: `{"0": negative, "1": positive}`. Other labels keep their names."""
    encodings: list[str] = Field(["utf-8"], min_length=1)
    """Tried in this order on each file."""


class TextFolders(Strict):
    """One document a file; the folder that holds it is its label (tasks only)."""

    format: Literal["text_folders"]
    files: Globs = "**/*.txt"
    splits: dict[Split, Globs] | None = None
    """Which files belong to which given split, instead of `files`."""
    encodings: list[str] = Field(["utf-8"], min_length=1)


class Text(Strict):
    """Plain text, also compressed (corpora only)."""

    format: Literal["text"]
    files: Globs = "**/*"
    unit: Unit = "paragraph"
    """A document: text between blank lines, one line, `lines` consecutive lines, or the whole file."""
    lines: PositiveInt = 100
    """For `unit: lines`: lines of a document, in files of one sentence a line without ends of texts (BookCorpus)."""
    encodings: list[str] = Field(["utf-8"], min_length=1)


class Mixed(Strict):
    """Files of several kinds by suffix (corpora only): .csv, .tsv, .jsonl, .json, .parquet, .xlsx and fastText as
    `delimited`, .txt and .md as `text`, .html as one document a file; all also compressed or inside a .zip."""

    format: Literal["mixed"]
    """This kind of parser."""
    files: Globs = "**/*"
    """Which files of the source."""
    text: str | list[str] = "text"
    """The column of delimited files with the text, or several that are joined by a space."""
    unit: Unit = "paragraph"
    """A document of a text file, as for `text`."""
    lines: PositiveInt = 100
    """For `unit: lines`."""
    quoting: bool = added(True)
    """Off for TSV files that use quotation marks as plain characters."""
    delimiter: str | None = added(None, min_length=1, max_length=1)
    """The character between the fields of a CSV or TSV; by default recognised."""
    sheet: str | None = added(None)
    """The sheet of a workbook; by default its only sheet with cells."""
    encodings: list[str] = Field(["utf-8"], min_length=1)
    """Tried in this order on each file."""


class MedlineSentences(Strict):
    """Sentences of structured MEDLINE abstracts, labelled by their NlmCategory (tasks only)."""

    format: Literal["medline_sentences"]
    files: Globs = "**/*.xml.gz"


class MedlineAbstracts(Strict):
    """The MEDLINE abstracts that `medline_sentences` does not use (corpora only)."""

    format: Literal["medline_abstracts"]
    files: Globs = "**/*.xml.gz"


class Botocore(Strict):
    """Documentation strings of botocore's service models (corpora only)."""

    format: Literal["botocore"]
    files: Globs = "**/service-2.json*"

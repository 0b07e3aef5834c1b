"""MEDLINE citations in XML: the abstracts that are structured, and the others.

Place in the flow: read by the task parser `medline_sentences` and the corpus parser `medline_abstracts`. Both
use `articles`, so that no article is in both task and corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from tlm.errors import TlmError
from tlm.formats.files import Input, open_bytes
from tlm.text import clean

CATEGORIES = ("BACKGROUND", "OBJECTIVE", "METHODS", "RESULTS", "CONCLUSIONS")
"""The values of NlmCategory that name a rhetorical role; the remaining one, UNASSIGNED, names none."""


@dataclass(frozen=True)
class Article:
    """A citation with an abstract."""

    pmid: str
    sections: tuple[tuple[str | None, str], ...]  # (NlmCategory, clean text), none empty

    @property
    def labelled(self) -> bool:
        """Whether any section has one of the five categories: then the article belongs to the task."""
        return any(category in CATEGORIES for category, _ in self.sections)


def articles(files: Sequence[Input]) -> Iterator[Article]:
    """Every article with an abstract, each PMID once (its first version), in the order of the files.

    Holds the PMIDs seen in memory. Raises TlmError for a file that is not such XML.
    """
    seen: set[str] = set()
    for source in files:
        with open_bytes(source) as stream:
            try:
                # No entities, no network: the file is not trusted.
                context = etree.iterparse(
                    stream, tag="MedlineCitation", resolve_entities=False, no_network=True, huge_tree=True
                )
                for _, citation in context:
                    pmid = citation.findtext("PMID") or ""
                    if pmid not in seen:
                        seen.add(pmid)
                        sections = _sections(citation)
                        if sections:
                            yield Article(pmid, sections)
                    _forget(citation)
            except etree.XMLSyntaxError as error:
                raise TlmError(f"{source}: not well-formed XML, or truncated ({error})") from None


def _forget(citation: etree._Element) -> None:
    """Free the memory of a citation, and of all elements before it and before its ancestors."""
    citation.clear()
    element: etree._Element | None = citation
    while element is not None and (parent := element.getparent()) is not None:
        while element.getprevious() is not None:
            del parent[0]
        element = parent


def _sections(citation: etree._Element) -> tuple[tuple[str | None, str], ...]:
    found = (
        (element.get("NlmCategory"), clean("".join(element.itertext())))
        for element in citation.iterfind("Article/Abstract/AbstractText")
    )
    return tuple((category, text) for category, text in found if text)

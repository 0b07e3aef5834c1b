"""An article serves the task or the corpus, never both."""

import gzip

import pytest
from source_files import citation, section, write_medline

from tlm.errors import TlmError
from tlm.formats.files import Input
from tlm.sources.medline import articles


def test_articles(tmp_path):
    first = write_medline(
        tmp_path / "1.xml.gz",
        citation(1, section("Plain <i>text</i>\n here.")),
        citation(2, section("Why.", "BACKGROUND"), section("Id.", "UNASSIGNED"), section("  ", "RESULTS")),
        citation(3),
        citation(4, section("Only this.", "UNASSIGNED")),
    )
    second = write_medline(
        tmp_path / "2.xml.gz", citation(2, section("Second version.")), citation(5, section("X."))
    )
    found = list(articles([Input(first), Input(second)]))
    assert [(article.pmid, article.labelled) for article in found] == [
        ("1", False),
        ("2", True),
        ("4", False),
        ("5", False),
    ]
    assert found[0].sections == ((None, "Plain text here."),)
    assert found[1].sections == (("BACKGROUND", "Why."), ("UNASSIGNED", "Id."))


def test_truncated_xml_is_an_error(tmp_path):
    path = tmp_path / "1.xml.gz"
    path.write_bytes(gzip.compress(b"<PubmedArticleSet><PubmedArticle>"))
    with pytest.raises(TlmError, match=r"1\.xml\.gz: not well-formed XML, or truncated"):
        list(articles([Input(path)]))

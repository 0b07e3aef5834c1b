"""Write the files of a source: Medline XML, and the manifest that makes a folder a source artifact."""

import gzip
from pathlib import Path

from tlm.artifacts import write_manifest


def section(text: str, category: str | None = None) -> str:
    """One part of an abstract."""
    return (
        f'<AbstractText NlmCategory="{category}">{text}</AbstractText>'
        if category
        else f"<AbstractText>{text}</AbstractText>"
    )


def citation(pmid: int, *sections: str) -> str:
    """One article; its abstract holds `sections`."""
    abstract = f"<Abstract>{''.join(sections)}</Abstract>" if sections else ""
    body = f"<PMID>{pmid}</PMID><Article><ArticleTitle>T</ArticleTitle>{abstract}</Article>"
    return f"<PubmedArticle><MedlineCitation>{body}</MedlineCitation></PubmedArticle>"


def write_medline(path: Path, *citations: str) -> Path:
    """A gzipped file of articles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(f"<PubmedArticleSet>{''.join(citations)}</PubmedArticleSet>".encode()))
    return path


def seal(folder: Path) -> Path:
    """Make `folder` a source artifact: write its manifest."""
    write_manifest(folder, "source", counts={}, parameters={})
    return folder

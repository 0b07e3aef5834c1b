"""CITATION.cff has what the format asks for, and says what the package says."""

import tomllib

import yaml
from conftest import ROOT

import tlm

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def authors_are_named(authors) -> bool:
    return bool(authors) and all(
        "name" in each or {"family-names", "given-names"} <= set(each) for each in authors
    )


def test_the_required_keys_are_there():
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    assert CITATION["message"] and CITATION["title"] and authors_are_named(CITATION["authors"])


def test_it_agrees_with_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert CITATION["version"] == tlm.__version__ and CITATION["license"] == project["license"]


def test_the_paper_is_a_reference():
    (paper,) = CITATION["references"]
    assert (
        paper["type"] == "conference-paper" and authors_are_named(paper["authors"]) and paper["year"] == 2022
    )
    assert paper["url"].endswith("2111.04130") and paper["title"].startswith("NLP From Scratch")

"""The configuration reference and the JSON Schemas say what the models say."""

import copy
import json

import pytest
import yaml
from conftest import ROOT
from jsonschema import Draft202012Validator
from pydantic import Field
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from tlm.config import reference
from tlm.config.base import Strict
from tlm.errors import TlmError

NOTES = reference.read_notes(ROOT / "docs/configuration.yaml")
SCHEMAS = reference.schemas(NOTES)
WRITTEN = "run python scripts/config_reference.py"
SHIPPED = [(file, path) for file in reference.FILES for path in sorted(ROOT.glob(file.path))]
MODELS = list(
    {model.__name__: model for file in reference.FILES for model in reference.reached(file.model)}.values()
)


def test_the_page_is_the_one_that_the_models_give():
    assert (ROOT / "docs/configuration.md").read_text() == reference.page(NOTES), WRITTEN


def test_the_schemas_are_those_that_the_models_give():
    found = {path.name: json.loads(path.read_text()) for path in (ROOT / "config/schema").glob("*.json")}
    assert found == SCHEMAS, WRITTEN


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_has_a_meaning(model):
    assert model.__doc__
    for key in model.model_fields:
        meaning = reference.meaning(model, key, NOTES)
        assert meaning.endswith((".", "`", "?", ")", '"')), f"{model.__name__}.{key}: {meaning!r}"


def test_a_note_of_an_unknown_key_raises(tmp_path):
    notes = tmp_path / "notes.yaml"
    notes.write_text("models: {Stage1Spec: {rho3: {meaning: none}}}")
    with pytest.raises(TlmError, match=r"models\.Stage1Spec\.rho3: there is no such key"):
        reference.read_notes(notes)


@pytest.mark.parametrize(("file", "path"), SHIPPED, ids=lambda each: getattr(each, "stem", None))
def test_a_shipped_file_is_valid_and_names_its_schema(file, path):
    schema = SCHEMAS[f"{file.schema}.schema.json"]
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(yaml.safe_load(path.read_text()))
    named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == ROOT / f"config/schema/{file.schema}.schema.json"


@pytest.mark.parametrize(
    ("name", "file", "spoil"),
    [
        ("config", "config.yaml", lambda found: found.update(sclae="demo")),
        ("scale", "scales/demo.yaml", lambda found: found["stage1"].update(rho3=1)),
        ("scale", "scales/demo.yaml", lambda found: found["model"].update(layers="many")),
        ("tasks", "tasks.yaml", lambda found: found["tasks"]["toy"].update(metric="f1")),
        ("corpora", "corpora.yaml", lambda found: found["corpora"]["toy"].update(max_words=0)),
        ("sources", "sources.yaml", lambda found: found["sources"].update(other={"licence": "MIT"})),
        ("experiments", "experiments.yaml", lambda found: found["variants"]["tlm"].update(selector="bm52")),
    ],
)
def test_snakemakes_validate_rejects_invalid_files(name, file, spoil):
    right = yaml.safe_load((ROOT / "config" / file).read_text())
    wrong = copy.deepcopy(right)
    spoil(wrong)
    schema = str(ROOT / f"config/schema/{name}.schema.json")
    validate(right, schema, set_default=False)
    with pytest.raises(WorkflowError):
        validate(wrong, schema, set_default=False)


class Inner(Strict):
    """Inside."""

    share: float = Field(0.5, ge=0, lt=1)
    """Of the whole.

    On two lines."""
    names: list[str] | None = None


class Outer(Inner):
    """Outside."""

    inner: Inner = Inner()
    count: int = Field(gt=0)
    """How many."""


def test_docstrings_are_those_beneath_the_fields_of_the_class_and_its_bases():
    assert reference.docstrings(Outer) == {"share": "Of the whole. On two lines.", "count": "How many."}


def test_types_in_words():
    words = {key: reference.type_in_words(field) for key, field in Outer.model_fields.items()}
    assert words == {
        "share": "number ≥ 0 < 1",
        "names": "list of text or null",
        "inner": "[Inner](#inner)",
        "count": "whole number > 0",
    }

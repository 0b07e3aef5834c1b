"""One line per mistake, naming file and key."""

from pathlib import Path

import pytest
from pydantic import Field

from tlm.config.base import Strict, load_yaml, parse, parse_json
from tlm.errors import TlmError


class Inner(Strict):
    metric: str = "f1"
    size: int = Field(1, gt=0)


class Outer(Strict):
    tasks: dict[str, Inner]
    others: list[Inner] | None = None
    name: str = "x"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"tasks": {"bbc-news": {"metrik": "a"}}},
            "f.yaml: tasks.bbc-news.metrik: unknown key (did you mean 'metric'?)",
        ),
        ({"tasks": {}, "others": [{"sise": 1}]}, "f.yaml: others.0.sise: unknown key (did you mean 'size'?)"),
        ({"tasks": {}, "zzzz": 1}, "f.yaml: zzzz: unknown key (known: name, others, tasks)"),
        ({}, "f.yaml: tasks: missing key"),
        ({"tasks": {"a": {"size": 0}}}, "f.yaml: tasks.a.size: Input should be greater than 0, got 0"),
    ],
)
def test_parse_names_file_and_key(value, message):
    with pytest.raises(TlmError) as caught:
        parse(Outer, value, "f.yaml")
    assert str(caught.value) == message


def test_parse_returns_the_model():
    assert parse(Outer, {"tasks": {"a": {"size": 3}}}, "f").tasks["a"].size == 3


def test_parse_json_reads_text_and_file(tmp_path: Path):
    assert parse_json(Inner, '{"size": 2}', "--spec").size == 2
    (tmp_path / "spec.json").write_text('{"size": 4}')
    assert parse_json(Inner, f"@{tmp_path}/spec.json", "--spec").size == 4
    with pytest.raises(TlmError, match="--spec: not JSON"):
        parse_json(Inner, "{", "--spec")


def test_load_yaml_refuses_a_key_that_occurs_twice(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: 2\na: 3\n")
    with pytest.raises(TlmError, match=r"a\.yaml: not valid YAML \(line 3: the key 'a' occurs twice\)"):
        load_yaml(path)


def test_load_yaml_names_broken_missing_and_undecodable_files(tmp_path: Path):
    path = tmp_path / "a.yaml"
    with pytest.raises(TlmError, match="no such file"):
        load_yaml(path)
    path.write_text("a: [1\n")
    with pytest.raises(TlmError, match="not valid YAML"):
        load_yaml(path)
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(TlmError, match="not UTF-8"):
        load_yaml(path)

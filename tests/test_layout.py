"""One module knows paths: patterns and names convert into each other, and no other module builds a path."""

import ast
import re

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from workflow_rules import CORES, workflow_rules

from tlm import layout
from tlm.cost.estimate import _DATA, _TRAINING
from tlm.dag import RULES
from tlm.errors import TlmError
from tlm.layout import Pattern

PATTERNS = {name: value for name, value in vars(layout).items() if isinstance(value, Pattern)}
NAMES = st.text("az09_.-", min_size=1, max_size=8)
OTHER_NAMES = {
    "seed": st.integers(0, 10**6).map(str),
    "k": st.integers(1, 10**6).map(str),
    "scatteritem": st.integers(1, 9).map(lambda number: f"{number}-of-9"),
    "body": st.tuples(st.sampled_from(["tasks/", "corpora/", "selections/a/b/"]), NAMES).map("".join),
    "one": st.one_of(st.just(""), NAMES.map(lambda name: f"/{name}")),
    "job": NAMES,
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_parse_reverses_format(pattern, data):
    names = {name: data.draw(OTHER_NAMES.get(name, NAMES)) for name in pattern.names}
    assert pattern.parse(pattern.format(**names)) == names


def test_a_path_of_another_form_raises():
    assert layout.TASK.match("data/tasks/a/b") is None
    with pytest.raises(TlmError, match=r"runs/x: expected a path of the form runs/\{scale\}/\{task\}"):
        layout.RUN.parse("runs/x")


def without_constraints(pattern):
    """Snakemake's `{seed,\\d+}` as `{seed}`."""
    plain, depth = "", 0
    for part in re.split(r"(?<!\\)([{}])", str(pattern)):
        depth += {"{": 1, "}": -1}.get(part, 0)
        plain += part.split(",")[0] if depth else part
    return plain


def test_the_declared_rules_are_those_of_the_snakefile():
    rules = workflow_rules()
    assert set(rules) == set(RULES)
    for name, rule in rules.items():
        declared = RULES[name]
        assert without_constraints(rule.output[0]) == declared.output, name
        assert [without_constraints(log) for log in rule.log] == [declared.log], name
        assert name == "server" or without_constraints(rule.benchmark) == declared.benchmark, name
        threads = rule.resources["_cores"]
        assert (not threads.is_evaluable() and threads.value == CORES) is declared.all_cores, name


def test_every_estimated_rule_is_declared_and_training_rules_run_on_the_device():
    assert set(_DATA) <= set(RULES)
    assert set(_TRAINING) == {rule.name for rule in RULES.values() if rule.on_device}


def test_a_job_of_a_rule_has_one_benchmark_file():
    assert (
        RULES["retrieve"].benchmark_of("data/retrieval/c/t/top5/manifest.json")
        == "benchmarks/retrieve/c-t-top5.tsv"
    )
    assert RULES["claims"].benchmark_of("results/claims/one.csv") == "benchmarks/claims/one.tsv"
    with pytest.raises(TlmError):
        RULES["retrieve"].benchmark_of("data/tasks/t/manifest.json")


# No other module builds a path.

PATH = re.compile(r"(?:data|runs|results|models|benchmarks|logs)/")
WHOLE_PATH = re.compile(PATH.pattern + r"[\w./{}-]+")
TARGETS = ["tlm/config/settings.py"]  # the default of `versioned`: targets, as a user types them


def built_paths(tree):
    """Texts of a module that are paths to artifacts: constants, and f-strings that begin with such a path."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and PATH.match(ast.unparse(node)[2:]):
            yield ast.unparse(node)
        if (
            isinstance(node, ast.Constant)
            and id(node) not in docstrings
            and WHOLE_PATH.fullmatch(str(node.value))
        ):
            yield str(node.value)


def test_no_other_module_builds_a_path():
    modules = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "tlm").rglob("*.py"))}
    found = {
        name: texts
        for name, path in modules.items()
        if name not in ("tlm/layout.py", *TARGETS)
        and (texts := list(built_paths(ast.parse(path.read_text()))))
    }
    assert found == {}

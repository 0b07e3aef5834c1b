"""Changes of single values in a YAML file: the rest of the text stays, and the file means what was wanted."""

import pytest
import yaml

from tlm.config.base import merge
from tlm.errors import TlmError
from tlm.own.edit import set_value

FILE = """\
# A comment.

task: {files: a.csv}

training:
  like: mini # the reason
  stage1:
    rho1: 3 # Table B.1
    budget: {tokens: 3000} # as many as fit
    optimizer: {warmup_steps: 4} # in steps
  stage2: {epochs: 3}
"""


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("training.stage1.budget", "{tokens: 7000}", "    budget: {tokens: 7000} # as many as fit"),
        ("training.stage1.optimizer.warmup_steps", "9", "    optimizer: {warmup_steps: 9} # in steps"),
        ("training.stage1.optimizer.kind", "muon", "    optimizer: {kind: muon, warmup_steps: 4} # in steps"),
        ("training.stage1.evaluate_every", "5", "    evaluate_every: 5"),
        ("training.stage2.optimizer.warmup_steps", "5", "  stage2: {optimizer: {warmup_steps: 5}, epochs: 3}"),
        ("training.seeds", "[1, 2]", "  seeds: [1, 2]"),
        ("compare", "true", "compare: true"),
    ],
)  # fmt: skip
def test_one_value_changes_and_every_other_line_stays(path, value, line):
    changed = set_value(FILE, path.split("."), value)
    assert line in changed.splitlines()
    wanted = yaml.safe_load(value)
    for key in reversed(path.split(".")):
        wanted = {key: wanted}
    assert yaml.safe_load(changed) == merge(yaml.safe_load(FILE), wanted)
    removed = set(FILE.splitlines()) - set(changed.splitlines())
    assert len(removed) <= 1 and "# A comment." in changed


def test_a_change_can_be_changed_again_and_an_empty_file_gets_the_value():
    once = set_value(FILE, ["compare"], "true")
    assert yaml.safe_load(set_value(once, ["compare"], "false"))["compare"] is False
    assert yaml.safe_load(set_value("# nothing\n", ["training", "k"], "5")) == {"training": {"k": 5}}


def test_values_over_several_lines_raise_instead_of_being_damaged():
    with pytest.raises(TlmError, match=r"training.stage1: is written over several lines"):
        set_value(FILE, ["training", "stage1"], "{}")
    with pytest.raises(TlmError, match=r"training.like: not a mapping"):
        set_value(FILE, ["training", "like", "x"], "1")

"""Profiles hold options of Snakemake, for rules that exist."""

import re

import pytest
import yaml
from conftest import ROOT
from snakemake.cli import get_argument_parser

PROFILES = sorted((ROOT / "profiles").glob("*/config.yaml"))
RULES = {
    name
    for path in (ROOT / "workflow/rules").glob("*.smk")
    for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_a_profile_holds_options_of_snakemake(path):
    options = get_argument_parser()._option_string_actions
    for key in yaml.safe_load(path.read_text()):
        assert f"--{key}" in options, f"{path}: {key}"


def test_resources_are_for_rules_that_exist():
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert RULES and set(profile["set-resources"]) <= RULES

"""pyproject.toml, environment.yml and constraints.txt name the same versions."""

import re
import tomllib
from importlib.metadata import metadata

import yaml
from conftest import ROOT
from packaging.specifiers import SpecifierSet


def declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    return dict(line.split("==") for line in lines)


def test_every_direct_dependency_is_pinned_exactly():
    assert all(re.fullmatch(r"[0-9.]+", version) for version in declared().values())


def test_environment_yml_equals_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert dict(line.split("==") for line in pip) == declared()


def test_constraints_hold_every_direct_pin():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {name.lower(): pinned.get(name.lower()) for name in declared()} == {
        name.lower(): version for name, version in declared().items()
    }


def test_every_pin_installs_with_the_oldest_python_that_the_project_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (oldest,) = SpecifierSet(project["requires-python"])
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    refusing = []
    for name in (line.split("==")[0] for line in lines if not line.startswith("#")):
        needed = metadata(name).get("Requires-Python") or ""
        if not SpecifierSet(needed).contains(f"{oldest.version}.0"):
            refusing.append(f"{name} needs Python {needed}")
    assert oldest.operator == ">=" and not refusing

"""The shipped configuration, loaded with changes."""

from pathlib import Path

import yaml
from conftest import ROOT

from tlm.plan.project import Project, load_project

CONFIG = ROOT / "config"


def project(folder: Path = CONFIG, **changes: object) -> Project:
    """The shipped configuration with these settings of config.yaml changed."""
    config = yaml.safe_load((CONFIG / "config.yaml").read_text())
    return load_project({**config, **changes}, folder)


def project_with_experiments(scale: str, **changes: object) -> Project:
    """The shipped configuration at `scale` with these parts of experiments.yaml replaced."""
    shipped = project(scale=scale)
    return shipped.model_copy(update={"experiments": shipped.experiments.model_copy(update=changes)})

"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Old and busy machines run these tests too: no example fails for being slow.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data that some tests use; they skip where it is absent."""
    folder = Path(os.environ.get("TLM_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no real-data folder at {folder} (set TLM_SHARED to run this test)")
    return folder

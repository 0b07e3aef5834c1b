"""Finds artifacts for which Snakemake has no record of how they were made.

Place in the flow: the Snakefile calls it before planning. Snakemake compares an artifact with the record that it wrote
when it built the artifact. An artifact from elsewhere (`dvc pull`, a copy) has no record, so Snakemake would keep it
even after its parameters change. A stage of DVC therefore does not start with such artifacts: `make restore` verifies
them and writes the records.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tlm.artifacts import MANIFEST
from tlm.errors import TlmError
from tlm.layout import DOWNLOADS, SHARES
from tlm.snakemake_adapter import copy_records, has_record

_EXPERIMENTS = (".dvc", "tmp", "exps")  # where `dvc exp run --temp` and the queue make their workspaces


def unknown(folder: Path = Path()) -> list[str]:
    """Manifests of artifacts that Snakemake has neither built here nor is building."""
    found = []
    for top in ("data", "runs", "models"):
        for path in sorted((folder / top).glob(f"**/{MANIFEST}")):
            name = path.relative_to(folder).as_posix()
            if name.startswith((f"{DOWNLOADS}/", f"{SHARES}/")):
                continue
            if not has_record(name, folder):
                found.append(name)
    return found


def require(folder: Path = Path()) -> None:
    """Check that every artifact has a record: in a stage of DVC it must, else a warning is printed.

    The workspace of `dvc exp run --temp` or of its queue gets the records of the project that it was made from.
    Raises TlmError naming the first artifact without a record.
    """
    in_dvc = "DVC_STAGE" in os.environ
    if in_dvc:
        _adopt(folder.resolve())
    if found := unknown(folder):
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        finding = f"Snakemake has no record of how {found[0]}{others} was made"
        if in_dvc:
            raise TlmError(
                f"{finding}, so a changed parameter would go unnoticed; run `make restore`, then the same command"
            )
        print(
            f"warning: {finding} and uses it unchecked; `make restore` verifies the files of DVC",
            file=sys.stderr,
        )


def _adopt(folder: Path) -> None:
    """Copy the surrounding project's records if `folder` is the workspace of an experiment without records."""
    parts = folder.parts
    if parts[-4:-1] == _EXPERIMENTS:
        copy_records(Path(*parts[:-4]), folder)

"""Whether Snakemake knows how an artifact was made: its own records, below .snakemake/.

Place in the flow: asked by the Snakefile before it plans. Snakemake compares an artifact with the record that it kept
when it built it; of one that came from elsewhere (`dvc pull`, a copy) it has none, takes it as it is, and would keep it
under changed parameters too. So a stage of DVC does not start on artifacts without a record: `make restore` verifies
them and writes the records.
"""

from __future__ import annotations

import os
import shutil
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

from tlm.artifacts import MANIFEST
from tlm.errors import TlmError

KEPT = (".snakemake/metadata", ".snakemake/incomplete")
_EXPERIMENTS = (".dvc", "tmp", "exps")  # where `dvc exp run --temp` and the queue make their workspaces


def record(output: str, folder: Path = Path(), kept: str = KEPT[0]) -> Path:
    """Where Snakemake keeps what it knows of `output`: the name in base 64, cut to what a file name may be long."""
    name = urlsafe_b64encode(output.encode()).decode()
    longest = 254
    parts = [name[at : at + longest] for at in range(0, len(name), longest)]
    return folder.joinpath(kept, *(f"@{part}" for part in parts[:-1]), parts[-1])


def unknown(folder: Path = Path()) -> list[str]:
    """Manifests of artifacts that Snakemake neither has built here nor is building."""
    found = []
    for top in ("data", "runs"):
        for path in sorted((folder / top).glob(f"**/{MANIFEST}")):
            name = path.relative_to(folder).as_posix()
            if name.startswith(("data/cache/", "data/shares/")):
                continue
            if not any(record(name, folder, kept).exists() for kept in KEPT):
                found.append(name)
    return found


def require(folder: Path = Path()) -> None:
    """Before Snakemake plans: as a stage of DVC, no artifact without a record; alone, a warning.

    A workspace of `dvc exp run --temp` or of its queue takes the records of the project that it is made from.
    Raises TlmError naming the first artifact without one.
    """
    in_dvc = "DVC_STAGE" in os.environ
    if in_dvc:
        _adopt(folder.resolve())
    if found := unknown(folder):
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = f"Snakemake has no record of how {found[0]}{others} was made"
        if in_dvc:
            raise TlmError(
                f"{what}, so a changed parameter would go unnoticed; run `make restore`, then the same command"
            )
        print(
            f"warning: {what} and takes it as it is; `make restore` verifies what DVC has brought",
            file=sys.stderr,
        )


def _adopt(folder: Path) -> None:
    """Copy the records of the project around an experiment's workspace, if this is one and has none."""
    parts = folder.parts
    if (folder / KEPT[0]).exists() or parts[-4:-1] != _EXPERIMENTS:
        return
    source = Path(*parts[:-4]) / KEPT[0]
    if source.is_dir():
        shutil.copytree(source, folder / KEPT[0])

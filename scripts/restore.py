"""After `dvc pull` or `dvc checkout`: verify every artifact, then record it for Snakemake (`make restore`).

`python scripts/restore.py` restores everything; with targets of snakemake, these and their inputs. `--list` prints
the stored outputs: `dvc pull $(python scripts/restore.py --list results/cells/table2/tlm/bbc-news.json)`.
"""

from collections.abc import Sequence
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.store.restore import behind, restore


def main(
    targets: Annotated[Sequence[str], "targets of snakemake (default: those of dvc.yaml)"] = (),
    /,
    *,
    list: Annotated[bool, "only print the outputs to pull for the targets"] = False,
) -> None:
    if list:
        print("\n".join(dict.fromkeys(out for target in targets for out in behind(target))))
        return
    found = restore(targets)
    print(f"{found.verified} outputs match dvc.lock and their manifests; Snakemake has records of them.")
    if found.absent:
        print(f"{len(found.absent)} outputs are absent and not needed here; the first is {found.absent[0]}.")


if __name__ == "__main__":
    run_script(main)

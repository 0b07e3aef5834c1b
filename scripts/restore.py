"""After `dvc pull` or `dvc checkout`: verify every artifact, then record it for Snakemake (`make restore`).

`python scripts/restore.py` restores everything; with targets of snakemake, these and their inputs. `--list` prints
the stored outputs: `dvc pull $(python scripts/restore.py --list results/cells/table2/tlm/bbc-news.json)`.
"""

import argparse

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.store.restore import behind, restore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="targets of snakemake (default: those of dvc.yaml)")
    parser.add_argument("--list", action="store_true", help="only print the outputs to pull for the targets")
    options = parser.parse_args()
    if options.list:
        print("\n".join(dict.fromkeys(out for target in options.targets for out in behind(target))))
        return
    found = restore(options.targets)
    print(f"{found.verified} outputs match dvc.lock and their manifests; Snakemake has records of them.")
    if found.absent:
        print(f"{len(found.absent)} outputs are absent and not needed here; the first is {found.absent[0]}.")


if __name__ == "__main__":
    run_script(main)

"""After `dvc pull` or `dvc checkout`: verify every artifact, then let Snakemake know what is there (`make restore`).

`python scripts/restore.py` for everything; with targets, as for snakemake, for what these are made from. `--list`
prints what DVC stores of it: `dvc pull $(python scripts/restore.py --list results/cells/table2/tlm/bbc-news.json)`.
"""

import argparse

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.store.restore import behind, restore


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="as for snakemake; by default those of dvc.yaml")
    parser.add_argument(
        "--list", action="store_true", help="print what to pull for the targets, and do nothing"
    )
    options = parser.parse_args()
    if options.list:
        print("\n".join(dict.fromkeys(out for target in options.targets for out in behind(target))))
        return
    found = restore(options.targets)
    print(f"{found.verified} outputs are what dvc.lock and their manifests say; Snakemake knows them.")
    if found.absent:
        print(f"Not here, and not needed for this: {len(found.absent)}, the first {found.absent[0]}.")


if __name__ == "__main__":
    run_script(main)

"""Copy finished results to docs/replication/<scale>/: `python scripts/replication.py --config scale=mini-paper …`.

Give the same `--config` as to Snakemake. Results that are not built are listed and left out.
"""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.reported import load_reported
    from tlm.cost.jobs import read_project
    from tlm.plan import tables
    from tlm.results.shipped import ShippedResults, ship


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="as for snakemake")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--to", type=Path, help="default: docs/replication/<scale>")
    args = parser.parse_args()
    project = read_project(args.config)
    names = tables.available(project)
    pages = ["claims", "contamination", *(f"differences/{name}" for name in names)]
    wanted = ShippedResults(
        project.settings.scale,
        [tables.table(project, name) for name in names],
        list(project.experiments.figures),
        pages,
    )
    folder = args.to or Path("docs/replication") / project.settings.scale
    missing = ship(wanted, args.results, folder, load_reported(Path("config/reported.yaml")))
    print(f"{folder}: not built and left out: {', '.join(missing) or 'nothing'}")


if __name__ == "__main__":
    run_script(main)

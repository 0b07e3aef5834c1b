"""Write dvc.yaml from the workflow: the stages behind `versioned` of config/config.yaml. Run it after a rule changes.

`python scripts/dvc_yaml.py` for the scale of config.yaml, `--scale mini` for another, `--check` to compare only.
"""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_text
    from tlm.store.document import FILE, build, check, read_project


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "targets", nargs="*", help="targets of snakemake (default: `versioned` in config.yaml)"
    )
    parser.add_argument("--scale", help="scale (default: that of config.yaml)")
    parser.add_argument("--output", type=Path, default=Path(FILE))
    parser.add_argument(
        "--check", action="store_true", help="fail if the file differs from the generated text"
    )
    options = parser.parse_args()
    if options.check:
        check(options.output)
        return
    project = read_project(options.scale)
    write_text(options.output, build(project, options.targets or project.settings.versioned))


if __name__ == "__main__":
    run_script(main)

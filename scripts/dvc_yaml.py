"""Write dvc.yaml from the workflow: the stages behind `versioned` of config/config.yaml. Run it after a rule changes.

`python scripts/dvc_yaml.py` for the scale of config.yaml, `--scale mini` for another, `--check` to compare only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_text
    from tlm.store.document import FILE, build, read_project
    from tlm.store.document import check as check_file


def main(
    targets: Annotated[Sequence[str], "targets of snakemake (default: `versioned` in config.yaml)"] = (),
    /,
    *,
    scale: Annotated[str | None, "scale (default: that of config.yaml)"] = None,
    output: Path = Path(FILE),
    check: Annotated[bool, "fail if the file differs from the generated text"] = False,
) -> None:
    if check:
        check_file(output)
        return
    project = read_project(scale)
    write_text(output, build(project, list(targets) or project.settings.versioned))


if __name__ == "__main__":
    run_script(main)

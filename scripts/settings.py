"""Rule `settings`: Table A.1 or B.1 as CSV, as Markdown and as a page, from its cells and the paper's own numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.hyperparameters import Name
    from tlm.config.reported import load_reported
    from tlm.results.hyperparameters import assemble, read_settings
    from tlm.results.static import write_table


def main(
    *,
    name: Name,
    cells: Annotated[Sequence[Path], "its cells, in the order of the rows"],
    reported: Path = Path("config/reported.yaml"),
    csv: Path,
    markdown: Path,
    html: Path,
) -> None:
    settings = [setting for path in cells for setting in read_settings(path)]
    rendered = assemble(name, settings, load_reported(reported))
    write_table(rendered.csv, rendered.markdown, csv, markdown, html)


if __name__ == "__main__":
    run_script(main)

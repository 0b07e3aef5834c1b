"""Rule `table`: a table as CSV, as Markdown and as a page, from its cells and the paper's own numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.experiments import Table
    from tlm.config.reported import load_reported
    from tlm.results.cells import read_cell
    from tlm.results.static import write_table
    from tlm.results.tables import assemble_table


def main(
    *,
    spec: Table,
    cells: Annotated[Sequence[Path], "its cells, in any order"] = (),
    reported: Path = Path("config/reported.yaml"),
    csv: Path,
    markdown: Path,
    html: Path,
) -> None:
    rendered = assemble_table(spec, [read_cell(path) for path in cells], load_reported(reported))
    write_table(rendered.csv, rendered.markdown, csv, markdown, html)


if __name__ == "__main__":
    run_script(main)

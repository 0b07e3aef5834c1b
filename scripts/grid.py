"""Rule `grid`: the dev scores of a grid search over ρ1 and ρ2 as CSV, as Markdown and as a page."""

from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.grid import GridSearch
    from tlm.config.reported import load_reported
    from tlm.results.grid import assemble
    from tlm.results.static import write_table


def main(
    *,
    spec: GridSearch,
    reported: Path,
    csv: Path,
    markdown: Path,
    html: Annotated[Path | None, "path of the page (default: beside the CSV)"] = None,
) -> None:
    rendered = assemble(spec, load_reported(reported))
    write_table(rendered.csv, rendered.markdown, csv, markdown, html or csv.with_suffix(".html"))


if __name__ == "__main__":
    run_script(main)

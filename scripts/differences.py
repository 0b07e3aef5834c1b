"""Rule `differences`: differences between the rows of a table, with intervals, as CSV, as Markdown and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.differences import Differences
    from tlm.results.differences import all_differences, render
    from tlm.results.predictions import open_runs
    from tlm.results.static import write_table


def main(
    *,
    spec: Differences,
    runs: Annotated[Sequence[Path], "evaluations"],
    csv: Path,
    markdown: Path,
    html: Path,
) -> None:
    rendered = render(spec, all_differences(spec, open_runs(runs)))
    write_table(rendered.csv, rendered.markdown, csv, markdown, html)


if __name__ == "__main__":
    run_script(main)

"""Rule `example_table`: Table 9 as CSV and as a page, from its cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_text
    from tlm.config.experiments import ExamplesSpec
    from tlm.results.cells import read_cell
    from tlm.results.examples import as_csv, as_page


def main(
    *,
    spec: ExamplesSpec,
    cells: Annotated[Sequence[Path], "its cells, in the order of tasks"],
    csv: Path,
    html: Path,
) -> None:
    content = [read_cell(path) for path in cells]
    write_text(html, as_page(spec, content))
    write_text(csv, as_csv(content))


if __name__ == "__main__":
    run_script(main)

"""Rule `contamination`: the counts of all audits of a scale as CSV, as Markdown and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.experiments import ContaminationTable
    from tlm.errors import TlmError
    from tlm.results.contamination import assemble, entries_of
    from tlm.results.static import write_table


def main(
    *,
    spec: ContaminationTable | None = None,
    audits: Annotated[Sequence[Path], "instead of --spec: folders of audits, in the order of the lines"] = (),
    csv: Path,
    markdown: Path,
    html: Annotated[Path | None, "path of the page (default: beside the CSV)"] = None,
) -> None:
    if bool(spec) == bool(audits):
        raise TlmError("give either --spec or --audits")
    rendered = assemble(spec or entries_of(audits))
    write_table(rendered.csv, rendered.markdown, csv, markdown, html or csv.with_suffix(".html"))


if __name__ == "__main__":
    run_script(main)

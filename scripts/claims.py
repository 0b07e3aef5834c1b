"""Rule `claims`: the ledger of the paper's claims as CSV, as Markdown and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.claims import Ledger
    from tlm.config.reported import load_reported
    from tlm.results.claims import ledger_lines, open_sources, records
    from tlm.results.claims_page import as_markdown
    from tlm.results.rendering import records_csv
    from tlm.results.static import write_table


def main(
    *,
    spec: Ledger,
    made_from: Annotated[Sequence[Path], "evaluations, attention artifacts"] = (),
    tasks: Annotated[Sequence[Path], "tasks, for their sizes"] = (),
    corpora: Annotated[Sequence[Path], "corpora, for their sizes"] = (),
    reported: Path,
    csv: Path,
    markdown: Path,
    html: Path,
) -> None:
    lines = ledger_lines(spec, open_sources(made_from, tasks, corpora, load_reported(reported)))
    write_table(records_csv(records(spec, lines)), as_markdown(spec, lines), csv, markdown, html)


if __name__ == "__main__":
    run_script(main)

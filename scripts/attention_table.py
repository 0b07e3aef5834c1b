"""Rule `attention_table`: positional and vertical heads of all models as CSV, as Markdown and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.figures import AttentionTable
    from tlm.evaluation.attention_heads import read_attention
    from tlm.results.attention import as_markdown, attention_rows
    from tlm.results.figures.style import as_csv
    from tlm.results.static import write_table


def main(
    *,
    spec: AttentionTable,
    made_from: Annotated[Sequence[Path], "attention artifacts"],
    csv: Path,
    markdown: Path,
    html: Path,
) -> None:
    rows = attention_rows(spec, [read_attention(path) for path in made_from])
    write_table(as_csv(rows), as_markdown(rows), csv, markdown, html)


if __name__ == "__main__":
    run_script(main)

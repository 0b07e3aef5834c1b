"""Rule `attention_table`: positional and vertical heads of all models as CSV, as Markdown and as a page."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.config.base import parse_json
    from tlm.config.figures import AttentionTable
    from tlm.evaluation.attention_heads import read_attention
    from tlm.results.attention import HEADER, as_markdown, attention_rows
    from tlm.results.figures.style import as_csv
    from tlm.results.static import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="AttentionTable as JSON, or @file")
    parser.add_argument("--made-from", type=Path, nargs="+", required=True, help="attention artifacts")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    options = parser.parse_args()
    spec = parse_json(AttentionTable, options.spec, "--spec")
    rows = attention_rows(spec, [read_attention(path) for path in options.made_from])
    write_table(as_csv(HEADER, rows), as_markdown(rows), options.csv, options.markdown, options.html)


if __name__ == "__main__":
    run_script(main)

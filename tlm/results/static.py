"""Tables as HTML pages that load nothing else, for the report and for a browser.

Place in the flow: the CSV and Markdown of a result in `results/` → here → .html beside them; Snakemake's report shows
these. One style for all, for phones and for paper: wide tables scroll inside the page; the CSV can be downloaded.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

from markdown_it import MarkdownIt

from tlm.artifacts import write_text

STYLE = """
:root { color-scheme: light; --ink: #222; --soft: #555; --line: #bbb; --accent: #0a4b9c; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 1.5rem auto; padding: 0 1rem; color: var(--ink);
  background: #fff; overflow-wrap: break-word; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
a { color: var(--accent); }
ul { padding-left: 1.2rem; }
li, .soft { color: var(--soft); font-size: .87rem; }
.scroll { overflow-x: auto; margin: .6rem 0; }
.scroll:focus-visible { outline: 2px solid var(--accent); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
thead th { border-top: 1.5px solid var(--ink); border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
tbody tr:last-child td { border-bottom: 1.5px solid var(--ink); }
tbody tr:hover td { background: #f3f6fa; }
td:first-child, th:first-child { position: sticky; left: 0; background: #fff; min-width: 9rem; }
td[style*="right"] { white-space: nowrap; }
@media (max-width: 40rem) {
  body { margin: .8rem auto; padding: 0 .7rem; }
  th, td { padding: .25rem .45rem; }
  td:first-child, th:first-child { min-width: 5rem; max-width: 9rem; }
}
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { max-width: none; margin: 0; padding: 0; font-size: 9pt; }
  table { font-size: 7.5pt; }
  th, td { padding: .12rem .3rem; }
  td:first-child, th:first-child { position: static; }
  .scroll { overflow: visible; }
  tr, li { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; }
  .download { display: none; }
}
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(title: str, body: str, style: str = "") -> str:
    """An HTML page around `body` (HTML); `title` is plain text, `style` is more CSS."""
    return _PAGE.format(title=html.escape(title), style=STYLE + style, body=body)


def table_page(markdown: str, csv: str, name: str) -> str:
    """A table's Markdown as a page, with its CSV to download as `name`. HTML in the Markdown is escaped."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    # A scrolling region must be reachable by keyboard.
    body = body.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
    found = re.search(r"^# (.+)$", markdown, re.M)
    data = base64.b64encode(csv.encode()).decode()
    link = f'<a download="{html.escape(name)}" href="data:text/csv;base64,{data}">{html.escape(name)}</a>'
    return page(found[1] if found else name, f'{body}<p class="soft download">The same as data: {link}</p>')


def write_table(csv_text: str, markdown_text: str, csv: Path, markdown: Path, page_file: Path) -> None:
    """A finished table as CSV, as Markdown and as a page; the CSV last."""
    write_text(page_file, table_page(markdown_text, csv_text, csv.name))
    write_text(markdown, markdown_text)
    write_text(csv, csv_text)

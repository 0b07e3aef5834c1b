"""Retrieval: index a corpus, fetch the top-k passages of every training text, select the external data.

    corpus ── index.build_index ──> index ──┐
    task (train split only) ────────────────┴─ stage.retrieve ──> retrieval ── selection.select_* ──>
    selection

`word_splitter` and `analyser` turn text into terms, `blocks` stores their postings on disk, `queries` shortens long
texts, `search` scores passages.
"""

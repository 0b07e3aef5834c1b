"""Retrieval: index a corpus, fetch the top-k passages of every training text, select the external data.

    corpus ── index.build_index ──> index ──┐
    task (train split only) ────────────────┴─ stage.retrieve ──> retrieval ── selection.select_* ──>
    selection

`unicode` and `analyser` turn text into terms, `blocks` keeps them on disk, `search` scores, `queries`
shortens long texts.
"""

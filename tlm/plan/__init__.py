"""Resolves names to artifacts: the runs, selections, tables, figures, claims and audits of one project at its scale.

Place in the flow: `tlm.config` declares and validates; this package resolves; `tlm.rules` hands the result to
Snakemake.
"""

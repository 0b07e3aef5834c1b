"""Versions with DVC: writes dvc.yaml, and restores a project from what DVC has stored.

Place in the flow: Snakemake is the only DAG (`Snakefile`); DVC keeps versions of its results. `dry_run` gets the jobs
from Snakemake, `stages` groups them, `parameters` lists the configuration keys of each stage, and `document` writes
dvc.yaml. `restore` verifies the files that DVC has brought and records them for Snakemake; see docs/dvc.md.
"""

"""DVC's side of the project: what it stores, under which stage, and how a copy of the store becomes a built project.

Place in the flow: Snakemake is the only DAG (`Snakefile`), DVC keeps versions of what it builds. `dag` asks Snakemake,
`stages` groups its jobs, `parameters` names what each stage reads, `document` writes dvc.yaml; `restore` verifies what
DVC has brought and makes Snakemake know it. docs/dvc.md tells the story.
"""

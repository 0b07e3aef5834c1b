# Cells and tables: each number is a target of its own, a table is assembled from its cells.


def cell_of(wildcards):
    key = (wildcards.table, wildcards.row, wildcards.column)
    if key not in CELLS:
        known = ", ".join("/".join(cell) for cell in CELLS if cell[0] == wildcards.table)
        raise WorkflowError(f"no cell {'/'.join(key)}; there are: {known or 'none'}")
    return CELLS[key]


def cell_runs(wildcards):
    """The evaluations that a cell is made from: its column's tasks, its row's seeds."""
    cell = cell_of(wildcards)
    return [
        runs.manifest(runs.resolve(PROJECT, task, cell.variant, seed).evaluation)
        for task in cell.column.tasks
        for seed in cell.seeds
    ]


rule cell:
    """One cell: mean, standard deviation, values per seed, and what it was made from."""
    input:
        runs=cell_runs,
        script="scripts/cell.py",
        code=code("artifacts.py", "config/experiments.py", "results/cells.py"),
    output:
        "results/cells/{table}/{row}/{column}.json",
    params:
        spec=lambda wildcards: as_json(cell_of(wildcards)),
    log:
        "logs/cell/{table}-{row}-{column}.log",
    benchmark:
        "benchmarks/cell/{table}-{row}-{column}.tsv"
    threads: 1
    shell:
        "python {input.script} --spec {params.spec:q} --runs {input.runs} --output {output} 2>&1 | tee {log}"


rule table:
    """A table as CSV, and as Markdown to read, with the paper's own rows beside ours."""
    input:
        cells=lambda wildcards: [
            f"results/cells/{'/'.join(key)}.json" for key in CELLS if key[0] == wildcards.table
        ],
        reported="config/reported.yaml",
        script="scripts/table.py",
        code=code("artifacts.py", "config/experiments.py", "results"),
    output:
        csv="results/{table}.csv",
        markdown="results/{table}.md",
    params:
        spec=lambda wildcards: as_json(PROJECT.table(wildcards.table)),
        tasks=PROJECT.scale.tasks,
    log:
        "logs/table/{table}.log",
    benchmark:
        "benchmarks/table/{table}.tsv"
    threads: 1
    shell:
        "python {input.script} --name {wildcards.table} --spec {params.spec:q} --tasks {params.tasks}"
        " --cells {input.cells} --reported {input.reported}"
        " --csv {output.csv} --markdown {output.markdown} 2>&1 | tee {log}"

# Cells and tables: each number is a target, and a table is assembled from its cells.


rule cell:
    """One cell: mean, standard deviation, values per seed, and the digests of its inputs."""
    input:
        runs=RULES.cell_runs,
        script="scripts/cell.py",
        code=import_closure("scripts/cell.py"),
    output:
        layout.CELL,
    log:
        dag.log("cell"),
    benchmark:
        dag.benchmark("cell")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.cell_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --runs {input.runs} --output {output} 2>&1 | tee {log}"


rule table:
    """A table as CSV, Markdown and HTML, with the paper's own rows beside ours."""
    input:
        unpack(RULES.table_cells),
        reported="config/reported.yaml",
        script="scripts/table.py",
        code=import_closure("scripts/table.py"),
    output:
        csv=layout.TABLE.file("csv"),
        markdown=layout.TABLE.file("md"),
        html=report(
            layout.TABLE.file("html"),
            caption="../report/table.rst",
            category=RULES.category,
            labels=RULES.labels,
        ),
    log:
        dag.log("table"),
    benchmark:
        dag.benchmark("table")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.table_spec,
    shell:
        "python {input.script} --spec {params.spec:q}"
        " --cells {input.cells} --reported {input.reported}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"

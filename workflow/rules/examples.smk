# Table 9: training texts, chosen by a fixed rule, and the passages that they retrieve.


rule examples:
    """Training texts of one task and their best passages, with the words that they share."""
    input:
        unpack(RULES.examples_inputs),
        script="scripts/examples.py",
        code=import_closure("scripts/examples.py"),
    output:
        layout.EXAMPLES_CELL,
    log:
        dag.log("examples"),
    benchmark:
        dag.benchmark("examples")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.examples_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --task $(dirname {input.task})"
        " --retrieval $(dirname {input.retrieval}) --corpus $(dirname {input.corpus})"
        " --output {output} 2>&1 | tee {log}"


rule example_table:
    """All tasks' examples as CSV, and as a page with the shared words marked."""
    input:
        unpack(RULES.examples_cells),
        script="scripts/example_table.py",
        code=import_closure("scripts/example_table.py"),
    output:
        csv=layout.EXAMPLES_TABLE.file("csv"),
        html=report(
            layout.EXAMPLES_TABLE.file("html"),
            caption="../report/examples.rst",
            category="Tables of the paper",
            labels=RULES.labels,
        ),
    log:
        dag.log("example_table"),
    benchmark:
        dag.benchmark("example_table")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.examples_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --cells {input.cells}"
        " --csv {output.csv} --html {output.html} 2>&1 | tee {log}"

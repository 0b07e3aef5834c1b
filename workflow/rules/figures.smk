# Attention heads, and the figures of the paper as pictures with their numbers beside them.


rule attention:
    """Attention of one trained model: every head on dev texts and on the paper's sentences."""
    input:
        unpack(RULES.attention_inputs),
        task=layout.TASK.manifest,
        script="scripts/attention.py",
        code=import_closure("scripts/attention.py"),
    output:
        layout.ATTENTION.manifest,
    log:
        dag.log("attention"),
    benchmark:
        dag.benchmark("attention")
    conda:
        "../../environment.yml"
    threads: PROJECT.scale.threads
    params:
        spec=RULES.attention_spec,
        model=input_options("stage1", "stage2"),
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --spec {params.spec:q} --task $(dirname {input.task}) {params.model}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule attention_table:
    """Positional and vertical heads of all models, with intervals."""
    input:
        unpack(RULES.attention_table_inputs),
        script="scripts/attention_table.py",
        code=import_closure("scripts/attention_table.py"),
    output:
        csv=layout.ATTENTION_TABLE.file("csv"),
        markdown=layout.ATTENTION_TABLE.file("md"),
        html=report(
            layout.ATTENTION_TABLE.file("html"),
            caption="../report/attention.rst",
            category="Beyond the paper",
            labels={"result": "Attention heads"},
        ),
    log:
        dag.log("attention_table"),
    benchmark:
        dag.benchmark("attention_table")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.attention_table_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --made-from {input.made_from}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"


rule figure:
    """A figure as PDF and PNG, and its numbers as CSV."""
    input:
        unpack(RULES.figure_inputs),
        reported="config/reported.yaml",
        script="scripts/figure.py",
        code=import_closure("scripts/figure.py"),
    output:
        pdf=layout.FIGURE.file("pdf"),
        png=report(
            layout.FIGURE.file("png"),
            caption="../report/figure.rst",
            category=RULES.category,
            labels=RULES.labels,
        ),
        csv=layout.FIGURE.file("csv"),
    log:
        dag.log("figure"),
    benchmark:
        dag.benchmark("figure")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.figure_spec,
        kind=RULES.figure_kind,  # for the caption
    shell:
        "python {input.script} --spec {params.spec:q} --made-from {input.made_from} --reported {input.reported}"
        " --pdf {output.pdf} --png {output.png} --csv {output.csv} 2>&1 | tee {log}"

# Attention heads, and the figures of the paper as pictures with their numbers beside them.


rule attention:
    """Attention of one trained model: every head on dev texts and on the paper's sentences."""
    input:
        unpack(RULES.attention_inputs),
        task="data/tasks/{task}/manifest.json",
        script="scripts/attention.py",
        code=import_closure("scripts/attention.py"),
    output:
        "runs/{scale}/{task}/{variant}/seed{seed}/attention/manifest.json",
    log:
        "logs/attention/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/attention/{scale}-{task}-{variant}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: PROJECT.scale.threads
    params:
        spec=RULES.attention_spec,
        model=RULES.attention_flags,
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
        csv="results/attention.csv",
        markdown="results/attention.md",
        html=report(
            "results/attention.html",
            caption="../report/attention.rst",
            category="Beyond the paper",
            labels={"result": "Attention heads"},
        ),
    log:
        "logs/attention_table.log",
    benchmark:
        "benchmarks/attention_table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        spec=RULES.attention_table_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --made-from {input.made_from}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"


rule figure:
    """A figure as PDF and PNG, and as CSV the numbers in it."""
    input:
        unpack(RULES.figure_inputs),
        reported="config/reported.yaml",
        script="scripts/figure.py",
        code=import_closure("scripts/figure.py"),
    output:
        pdf="results/{figure}.pdf",
        png=report(
            "results/{figure}.png",
            caption="../report/figure.rst",
            category=RULES.figure_category,
            labels=RULES.figure_labels,
        ),
        csv="results/{figure}.csv",
    log:
        "logs/figure/{figure}.log",
    benchmark:
        "benchmarks/figure/{figure}.tsv"
    wildcard_constraints:
        figure=RULES.figure_names,
    conda:
        "../../environment.yml"
    threads: 1
    params:
        spec=RULES.figure_spec,
        kind=RULES.figure_kind,  # for the caption
    shell:
        "python {input.script} --spec {params.spec:q} --made-from {input.made_from} --reported {input.reported}"
        " --pdf {output.pdf} --png {output.png} --csv {output.csv} 2>&1 | tee {log}"

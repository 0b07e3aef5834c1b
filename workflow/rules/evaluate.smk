# Evaluation: predictions on dev and test, metrics, held-out MLM loss and FLOPs of one run.


rule evaluate:
    """Predictions of the best dev checkpoint. Only this rule and `linear` read the test split."""
    input:
        unpack(RULES.evaluate_inputs),
        task=layout.TASK.manifest,
        script="scripts/evaluate.py",
        code=import_closure("scripts/evaluate.py"),
    output:
        layout.EVALUATION.manifest,
    log:
        dag.log("evaluate"),
    benchmark:
        dag.benchmark("evaluate")
    wildcard_constraints:
        variant=rf"(?!(?:{RULES.linear_variants})/){layout.NAME}",
    conda:
        "../../environment.yml"
    threads: RULES.threads
    params:
        artifacts=input_options("stage1", "pretraining", "stage2", "data"),
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --task $(dirname {input.task}) {params.artifacts}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule linear:
    """A linear model on n-grams, fitted, chosen on dev and evaluated: TF-IDF and its stronger relative."""
    input:
        task=layout.TASK.manifest,
        script="scripts/linear.py",
        code=import_closure("scripts/linear.py"),
    output:
        layout.EVALUATION.manifest,
    log:
        dag.log("linear"),
    benchmark:
        dag.benchmark("linear")
    wildcard_constraints:
        variant=RULES.linear_variants,
    conda:
        "../../environment.yml"
    params:
        spec=RULES.linear_spec,
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --task $(dirname {input.task}) --spec {params.spec:q} --output $(dirname {output}) 2>&1 | tee {log}"

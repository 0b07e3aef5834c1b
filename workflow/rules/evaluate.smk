# Evaluation: predictions on dev and test, metrics, held-out MLM loss and FLOPs of one run.


rule evaluate:
    """Predictions of the best dev checkpoint. Only this rule and `tfidf` read the test split."""
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
        variant=rf"(?!(?:{RULES.tfidf_variants})/){layout.NAME}",
    conda:
        "../../environment.yml"
    threads: RULES.threads
    params:
        artifacts=RULES.evaluate_flags,
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --task $(dirname {input.task}) {params.artifacts}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule tfidf:
    """TF-IDF and logistic regression: the simplest baseline."""
    input:
        task=layout.TASK.manifest,
        script="scripts/tfidf.py",
        code=import_closure("scripts/tfidf.py"),
    output:
        layout.EVALUATION.manifest,
    log:
        dag.log("tfidf"),
    benchmark:
        dag.benchmark("tfidf")
    wildcard_constraints:
        variant=RULES.tfidf_variants,
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --task $(dirname {input.task}) --output $(dirname {output}) 2>&1 | tee {log}"

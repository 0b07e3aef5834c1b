# Evaluation: predictions on dev and test, metrics, held-out MLM loss and FLOPs of one run.


rule evaluate:
    """The one reading of a test split, by the checkpoint that dev chose."""
    input:
        unpack(RULES.evaluate_inputs),
        task="data/tasks/{task}/manifest.json",
        script="scripts/evaluate.py",
        code=import_closure("scripts/evaluate.py"),
    output:
        "runs/{scale}/{task}/{variant}/seed{seed}/evaluation/manifest.json",
    log:
        "logs/evaluate/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/evaluate/{scale}-{task}-{variant}-seed{seed}.tsv"
    wildcard_constraints:
        variant=rf"(?!(?:{RULES.tfidf_variants})/)[\w.-]+",
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
    """TF-IDF and logistic regression: what a user would try first."""
    input:
        task="data/tasks/{task}/manifest.json",
        script="scripts/tfidf.py",
        code=import_closure("scripts/tfidf.py"),
    output:
        "runs/{scale}/{task}/{variant}/seed{seed}/evaluation/manifest.json",
    log:
        "logs/tfidf/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/tfidf/{scale}-{task}-{variant}-seed{seed}.tsv"
    wildcard_constraints:
        variant=RULES.tfidf_variants,
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --task $(dirname {input.task}) --output $(dirname {output}) 2>&1 | tee {log}"

# Evaluation: predictions on dev and test, metrics, held-out MLM loss and FLOPs of one run.


EVALUATION_CODE = code("artifacts.py", "metrics.py", "training", "evaluation")
TFIDF = "|".join(
    name
    for name, spec in PROJECT.experiments.variants.items()
    if spec.method == "tfidf"
)


def evaluated(run):
    """The models that a run's evaluation reads, and the external data that they read."""
    return {
        "stage1": run.stage1,
        "stage2": run.model if run.spec.stage2 else None,
        "data": (run.pretraining or run).selection
        and (run.pretraining or run).selection.folder,
    }


rule evaluate:
    """The one reading of a test split, by the checkpoint that dev chose."""
    input:
        unpack(lambda wildcards: manifests(evaluated(run_of(wildcards)))),
        task="data/tasks/{task}/manifest.json",
        script="scripts/evaluate.py",
        code=EVALUATION_CODE,
    output:
        RUN + "/evaluation/manifest.json",
    params:
        artifacts=lambda wildcards: flags(**evaluated(run_of(wildcards))),
    wildcard_constraints:
        variant=rf"(?!(?:{TFIDF})/)[\w.-]+",
    log:
        "logs/evaluate/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/evaluate/{scale}-{task}-{variant}-seed{seed}.tsv"
    threads: PROJECT.scale.threads
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --task $(dirname {input.task}) {params.artifacts}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule tfidf:
    """TF-IDF and logistic regression: what a user would try first."""
    input:
        task="data/tasks/{task}/manifest.json",
        script="scripts/tfidf.py",
        code=code("artifacts.py", "metrics.py", "evaluation/record.py", "evaluation/tfidf.py"),
    output:
        RUN + "/evaluation/manifest.json",
    wildcard_constraints:
        variant=TFIDF,
    log:
        "logs/tfidf/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/tfidf/{scale}-{task}-{variant}-seed{seed}.tsv"
    threads: 1
    shell:
        "python {input.script} --run {wildcards.scale} {wildcards.task} {wildcards.variant} {wildcards.seed}"
        " --task $(dirname {input.task}) --output $(dirname {output}) 2>&1 | tee {log}"

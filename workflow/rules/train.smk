# Tokenizer, tokens, stage 1 and stage 2 (Section 3.1).


rule tokenizer:
    """WordPiece, trained on the corpus."""
    input:
        corpus="data/corpora/" + PROJECT.scale.corpus + "/manifest.json",
        script="scripts/tokenizer.py",
        code=code("artifacts.py", "training/tokenizer.py"),
    output:
        "data/tokenizers/" + runs.tokenizer_name(PROJECT) + "/manifest.json",
    params:
        spec=as_json(PROJECT.scale.tokenizer),
    log:
        "logs/tokenizer/" + runs.tokenizer_name(PROJECT) + ".log",
    benchmark:
        "benchmarks/tokenizer/" + runs.tokenizer_name(PROJECT) + ".tsv"
    threads: workflow.cores
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus})"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule internal_tokens:
    """A task's texts as tokens."""
    input:
        texts="data/tasks/{task}/manifest.json",
        tokenizer="data/tokenizers/{tokenizer}/manifest.json",
        script="scripts/tokens.py",
        code=code("artifacts.py", "training/tokens.py"),
    output:
        "data/tokens/{tokenizer}/internal/{task}/manifest.json",
    params:
        length=runs.stored_length(PROJECT),
    log:
        "logs/tokens/{tokenizer}-internal-{task}.log",
    benchmark:
        "benchmarks/tokens/{tokenizer}-internal-{task}.tsv"
    threads: 1
    shell:
        "python {input.script} --task $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --length {params.length} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule external_tokens:
    """A selection's passages as tokens."""
    input:
        texts="data/selections/{corpus}/{task}/{selection}/manifest.json",
        tokenizer="data/tokenizers/{tokenizer}/manifest.json",
        script="scripts/tokens.py",
        code=code("artifacts.py", "training/tokens.py"),
    output:
        "data/tokens/{tokenizer}/external/{corpus}/{task}/{selection}/manifest.json",
    params:
        length=runs.stored_length(PROJECT),
    log:
        "logs/tokens/{tokenizer}-{corpus}-{task}-{selection}.log",
    benchmark:
        "benchmarks/tokens/{tokenizer}-{corpus}-{task}-{selection}.tsv"
    threads: 1
    shell:
        "python {input.script} --selection $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --length {params.length} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


TRAINING_CODE = code(
    "artifacts.py", "metrics.py", "config/training.py", "training"
)
RUN = "runs/{scale}/{task}/{variant}/seed{seed}"


def flags(**folders):
    """`--name folder` for each folder that there is."""
    return " ".join(
        f"--{name.replace('_', '-')} {folder}" for name, folder in folders.items() if folder
    )


def stage1_tokens(run):
    """Internal tokens unless the run is a pretraining, external tokens unless it is task-only."""
    return {
        "task_tokens": None if run.task == SHARED else run.internal_tokens,
        "external_tokens": run.external_tokens,
    }


def manifests(folders):
    return {
        name: runs.manifest(folder) for name, folder in folders.items() if folder
    }


rule stage1:
    """Stage 1: external and internal data, interleaved; a PLM's pretraining is the same without internal data."""
    input:
        unpack(lambda wildcards: manifests(stage1_tokens(run_of(wildcards)))),
        tokenizer=lambda wildcards: f"data/tokenizers/{run_of(wildcards).tokenizer}/manifest.json",
        script="scripts/stage1.py",
        code=TRAINING_CODE,
    output:
        RUN + "/stage1/manifest.json",
    params:
        # Without stage 2, so that a change of it reruns stage 2 alone.
        spec=lambda wildcards: as_json(
            run_of(wildcards).spec.model_copy(update={"stage2": None})
        ),
        tokens=lambda wildcards: flags(**stage1_tokens(run_of(wildcards))),
    log:
        "logs/stage1/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/stage1/{scale}-{task}-{variant}-seed{seed}.tsv"
    priority: lambda wildcards: 10 if wildcards.task == SHARED else 0
    threads: PROJECT.scale.threads
    shell:
        "python {input.script} --spec {params.spec:q} {params.tokens} --tokenizer $(dirname {input.tokenizer})"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule stage2:
    """Stage 2: the task alone, from stage 1's weights; the best dev checkpoint is kept."""
    input:
        stage1=lambda wildcards: runs.manifest(run_of(wildcards).stage1),
        tokens=lambda wildcards: runs.manifest(run_of(wildcards).internal_tokens),
        tokenizer=lambda wildcards: f"data/tokenizers/{run_of(wildcards).tokenizer}/manifest.json",
        script="scripts/stage2.py",
        code=TRAINING_CODE,
    output:
        RUN + "/stage2/manifest.json",
    params:
        spec=lambda wildcards: as_json(run_of(wildcards).spec),
    log:
        "logs/stage2/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/stage2/{scale}-{task}-{variant}-seed{seed}.tsv"
    threads: PROJECT.scale.threads
    shell:
        "python {input.script} --spec {params.spec:q} --stage1 $(dirname {input.stage1})"
        " --task-tokens $(dirname {input.tokens}) --tokenizer $(dirname {input.tokenizer})"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"

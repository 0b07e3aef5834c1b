# Sources, tasks and corpora: bytes in, verified; Parquet out.


rule fetch:
    """Download (or find in the cache), verify and unpack one source."""
    input:
        local=lambda wildcards: local_files(PROJECT.data.sources[wildcards.source]),
        script="scripts/fetch.py",
        code=import_closure("scripts/fetch.py"),
    output:
        layout.SOURCE.manifest,
    log:
        dag.log("fetch"),
    benchmark:
        dag.benchmark("fetch")
    conda:
        "../../environment.yml"
    params:
        spec=lambda wildcards: as_json(PROJECT.data.sources[wildcards.source]),
        mirrors=canonical_json(PROJECT.settings.mirrors),
    shell:
        "python {input.script} --name {wildcards.source} --spec {params.spec:q} --mirrors {params.mirrors:q}"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule task:
    """Rows of a labelled task, split."""
    input:
        source=RULES.task_source,
        script="scripts/task.py",
        code=import_closure("scripts/task.py"),
    output:
        layout.TASK.manifest,
    log:
        dag.log("task"),
    benchmark:
        dag.benchmark("task")
    conda:
        "../../environment.yml"
    params:
        spec=lambda wildcards: as_json(PROJECT.task(wildcards.task)),
    shell:
        "python {input.script} --name {wildcards.task} --spec {params.spec:q} --source $(dirname {input.source})"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule corpus:
    """Clean passages of a general corpus, or a sample of another one's."""
    input:
        made_from=RULES.corpus_inputs,
        script="scripts/corpus.py",
        code=import_closure("scripts/corpus.py"),
    output:
        layout.CORPUS.manifest,
    log:
        dag.log("corpus"),
    benchmark:
        dag.benchmark("corpus")
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        spec=lambda wildcards: as_json(PROJECT.corpus(wildcards.corpus)),
    shell:
        "python {input.script} --name {wildcards.corpus} --spec {params.spec:q} --made-from {input.made_from}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"

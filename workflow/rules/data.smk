# Sources, tasks and corpora: bytes in, verified; Parquet out.


rule fetch:
    """Download (or find in the cache), verify and unpack one source."""
    input:
        local=lambda wildcards: local_files(PROJECT.data.sources[wildcards.source]),
        script="scripts/fetch.py",
        code=code("artifacts.py", "sources"),
    output:
        "data/sources/{source}/manifest.json",
    params:
        spec=lambda wildcards: as_json(PROJECT.data.sources[wildcards.source]),
        mirrors=canonical_json(PROJECT.settings.mirrors),
    log:
        "logs/fetch/{source}.log",
    benchmark:
        "benchmarks/fetch/{source}.tsv"
    threads: 1
    shell:
        "python {input.script} --name {wildcards.source} --spec {params.spec:q} --mirrors {params.mirrors:q}"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule task:
    """Rows of a labelled task, split."""
    input:
        source=lambda wildcards: f"data/sources/{PROJECT.data.tasks[wildcards.task].source}/manifest.json",
        script="scripts/task.py",
        code=code("artifacts.py", "text.py", "sources/formats.py", "sources/medline.py", "tasks"),
    output:
        "data/tasks/{task}/manifest.json",
    params:
        spec=lambda wildcards: as_json(PROJECT.data.tasks[wildcards.task]),
    log:
        "logs/task/{task}.log",
    benchmark:
        "benchmarks/task/{task}.tsv"
    threads: 1
    shell:
        "python {input.script} --name {wildcards.task} --spec {params.spec:q} --source $(dirname {input.source})"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule corpus:
    """Clean passages of a general corpus."""
    input:
        sources=lambda wildcards: [
            f"data/sources/{source}/manifest.json"
            for source in PROJECT.data.corpora[wildcards.corpus].sources
        ],
        script="scripts/corpus.py",
        code=code("artifacts.py", "text.py", "sources/formats.py", "sources/medline.py", "corpus"),
    output:
        "data/corpora/{corpus}/manifest.json",
    params:
        spec=lambda wildcards: as_json(PROJECT.data.corpora[wildcards.corpus]),
    log:
        "logs/corpus/{corpus}.log",
    benchmark:
        "benchmarks/corpus/{corpus}.tsv"
    threads: workflow.cores
    shell:
        "python {input.script} --name {wildcards.corpus} --spec {params.spec:q} --sources data/sources"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"

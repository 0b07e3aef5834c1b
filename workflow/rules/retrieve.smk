# Index, retrieval and selections: which passages of the corpus a task's training texts ask for (Section 3.1).


scattergather:
    share=PROJECT.settings.retrieval.shares,


rule index_share:
    """The blocks that one of several jobs builds; `index` takes them up."""
    input:
        corpus="data/corpora/{corpus}/manifest.json",
        script="scripts/index.py",
        code=import_closure("scripts/index.py"),
    output:
        "data/shares/index/{corpus}/{scatteritem}/manifest.json",
    log:
        "logs/index_share/{corpus}-{scatteritem}.log",
    benchmark:
        "benchmarks/index_share/{corpus}-{scatteritem}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        spec=as_json(PROJECT.settings.retrieval.index),
        share=RULES.share,
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus}) --share {params.share}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule index:
    """BM25 index of a corpus."""
    input:
        corpus="data/corpora/{corpus}/manifest.json",
        shares=RULES.gathered(
            gather.share("data/shares/index/{{corpus}}/{scatteritem}/manifest.json")
        ),
        server=RULES.served("index-{corpus}"),
        script="scripts/index.py",
        code=import_closure("scripts/index.py"),
    output:
        "data/indexes/{corpus}/manifest.json",
    log:
        "logs/index/{corpus}.log",
    benchmark:
        "benchmarks/index/{corpus}.tsv"
    # All cores, and first: behind a running pretraining they would wait for its core.
    priority: 20
    conda:
        "../../environment.yml"
    threads: RULES.beside_server(CORES)
    params:
        spec=as_json(PROJECT.settings.retrieval.index),
        shares=RULES.share_flags,
        backend=RULES.backend_flags,
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus}) {params.shares} {params.backend}"
        " --wait-for {input.server} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule retrieve_share:
    """The top-K passages of the blocks that one of several jobs searches; `retrieve` merges them."""
    input:
        index="data/indexes/{corpus}/manifest.json",
        task="data/tasks/{task}/manifest.json",
        script="scripts/retrieve.py",
        code=import_closure("scripts/retrieve.py"),
    output:
        "data/shares/retrieval/{corpus}/{task}/top{k}/{scatteritem}/manifest.json",
    log:
        "logs/retrieve_share/{corpus}-{task}-top{k}-{scatteritem}.log",
    benchmark:
        "benchmarks/retrieve_share/{corpus}-{task}-top{k}-{scatteritem}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        spec=RULES.retrieval_spec,
        share=RULES.share,
    shell:
        "python {input.script} --spec {params.spec:q} --index $(dirname {input.index})"
        " --task $(dirname {input.task}) --share {params.share}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule retrieve:
    """Top-K passages for every training text, at the largest K that any variant reads."""
    input:
        index="data/indexes/{corpus}/manifest.json",
        task="data/tasks/{task}/manifest.json",
        server=RULES.served("retrieve-{corpus}-{task}-top{k}"),
        script="scripts/retrieve.py",
        shares=RULES.gathered(
            gather.share(
                "data/shares/retrieval/{{corpus}}/{{task}}/top{{k}}/{scatteritem}/manifest.json"
            )
        ),
        code=import_closure("scripts/retrieve.py"),
    output:
        "data/retrieval/{corpus}/{task}/top{k}/manifest.json",
    log:
        "logs/retrieve/{corpus}-{task}-top{k}.log",
    benchmark:
        "benchmarks/retrieve/{corpus}-{task}-top{k}.tsv"
    priority: 20
    conda:
        "../../environment.yml"
    threads: RULES.beside_server(CORES)
    params:
        spec=RULES.retrieval_spec,
        shares=RULES.share_flags,
    shell:
        "python {input.script} --spec {params.spec:q} --index $(dirname {input.index})"
        " --task $(dirname {input.task}) {params.shares} --wait-for {input.server}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule selection:
    """The passages that stage 1 may read: the union over queries, or a rival's choice."""
    input:
        unpack(RULES.selection_inputs),
        corpus="data/corpora/{corpus}/manifest.json",
        script="scripts/selection.py",
        code=import_closure("scripts/selection.py"),
    output:
        "data/selections/{corpus}/{task}/{selection}/manifest.json",
    log:
        "logs/selection/{corpus}-{task}-{selection}.log",
    benchmark:
        "benchmarks/selection/{corpus}-{task}-{selection}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        spec=RULES.selection_spec,
        made_from=RULES.selection_flags,
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus}) {params.made_from}"
        " --output $(dirname {output}) 2>&1 | tee {log}"

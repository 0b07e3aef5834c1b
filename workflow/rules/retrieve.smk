# Index, retrieval and selections: the passages of the corpus that a task's training texts retrieve (Section 3.1).


scattergather:
    share=PROJECT.settings.retrieval.shares,


rule index_share:
    """The blocks that one of several jobs builds; `index` joins them."""
    input:
        corpus=layout.CORPUS.manifest,
        script="scripts/index.py",
        code=import_closure("scripts/index.py"),
    output:
        layout.INDEX_SHARE.manifest,
    log:
        dag.log("index_share"),
    benchmark:
        dag.benchmark("index_share")
    conda:
        "../../environment.yml"
    params:
        spec=as_json(PROJECT.settings.retrieval.index),
        share=RULES.share,
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus}) --share {params.share}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule index:
    """BM25 index of a corpus."""
    input:
        corpus=layout.CORPUS.manifest,
        shares=RULES.gathered(
            gather.share(layout.INDEX_SHARE.manifest, corpus="{corpus}")
        ),
        server=RULES.served("index-{corpus}"),
        script="scripts/index.py",
        code=import_closure("scripts/index.py"),
    output:
        layout.INDEX.manifest,
    log:
        dag.log("index"),
    benchmark:
        dag.benchmark("index")
    # The job uses all cores and starts first. Otherwise it would wait until a running pretraining frees its core.
    priority: 20
    conda:
        "../../environment.yml"
    threads: RULES.beside_server(CORES)
    params:
        spec=as_json(PROJECT.settings.retrieval.index),
        shares=input_options("shares"),
        backend=RULES.backend_flags,
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus}) {params.shares} {params.backend}"
        " --wait-for {input.server} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule retrieve_share:
    """The top-K passages of the blocks that one of several jobs searches; `retrieve` merges them."""
    input:
        index=layout.INDEX.manifest,
        task=layout.TASK.manifest,
        script="scripts/retrieve.py",
        code=import_closure("scripts/retrieve.py"),
    output:
        layout.RETRIEVAL_SHARE.manifest,
    log:
        dag.log("retrieve_share"),
    benchmark:
        dag.benchmark("retrieve_share")
    conda:
        "../../environment.yml"
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
        index=layout.INDEX.manifest,
        task=layout.TASK.manifest,
        server=RULES.served("retrieve-{corpus}-{task}-top{k}"),
        script="scripts/retrieve.py",
        shares=RULES.gathered(
            gather.share(
                layout.RETRIEVAL_SHARE.manifest,
                corpus="{corpus}",
                task="{task}",
                k="{k}",
            )
        ),
        code=import_closure("scripts/retrieve.py"),
    output:
        layout.RETRIEVAL.manifest,
    log:
        dag.log("retrieve"),
    benchmark:
        dag.benchmark("retrieve")
    priority: 20
    conda:
        "../../environment.yml"
    threads: RULES.beside_server(CORES)
    params:
        spec=RULES.retrieval_spec,
        shares=input_options("shares"),
    shell:
        "python {input.script} --spec {params.spec:q} --index $(dirname {input.index})"
        " --task $(dirname {input.task}) {params.shares} --wait-for {input.server}"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule selection:
    """The passages that stage 1 may read: the union over queries, or another selector's choice."""
    input:
        unpack(RULES.selection_inputs),
        script="scripts/selection.py",
        code=import_closure("scripts/selection.py"),
    output:
        layout.SELECTION.manifest,
    log:
        dag.log("selection"),
    benchmark:
        dag.benchmark("selection")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.selection_spec,
        made_from=input_options("corpus", *SELECTOR_INPUTS, "without"),
    shell:
        "python {input.script} --spec {params.spec:q} {params.made_from}"
        " --output $(dirname {output}) 2>&1 | tee {log}"

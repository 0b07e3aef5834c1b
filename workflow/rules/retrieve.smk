# Index, retrieval and selections: which passages of the corpus a task's training texts ask for (Section 3.1).


rule index:
    """BM25 index of a corpus."""
    input:
        corpus="data/corpora/{corpus}/manifest.json",
        script="scripts/index.py",
        code=code("artifacts.py", "config/retrieval.py", "retrieval"),
    output:
        "data/indexes/{corpus}/manifest.json",
    log:
        "logs/index/{corpus}.log",
    benchmark:
        "benchmarks/index/{corpus}.tsv"
    conda:
        "../../environment.yml"
    # All cores, and first: behind a running pretraining they would wait for its core.
    priority: 20
    threads: workflow.cores
    params:
        spec=as_json(PROJECT.settings.retrieval.index),
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus})"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule retrieve:
    """Top-K passages for every training text, at the largest K that any variant reads."""
    input:
        index="data/indexes/{corpus}/manifest.json",
        task="data/tasks/{task}/manifest.json",
        script="scripts/retrieve.py",
        code=code("artifacts.py", "config/retrieval.py", "retrieval"),
    output:
        "data/retrieval/{corpus}/{task}/top{k}/manifest.json",
    log:
        "logs/retrieve/{corpus}-{task}-top{k}.log",
    benchmark:
        "benchmarks/retrieve/{corpus}-{task}-top{k}.tsv"
    conda:
        "../../environment.yml"
    priority: 20
    threads: workflow.cores
    params:
        spec=ASK.retrieval_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --index $(dirname {input.index})"
        " --task $(dirname {input.task}) --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule selection:
    """The passages that stage 1 may read: the union over queries, or a rival's choice."""
    input:
        unpack(ASK.selection_inputs),
        corpus="data/corpora/{corpus}/manifest.json",
        script="scripts/selection.py",
        code=code("artifacts.py", "config/retrieval.py", "retrieval"),
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
        spec=ASK.selection_spec,
        made_from=ASK.selection_flags,
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus}) {params.made_from}"
        " --output $(dirname {output}) 2>&1 | tee {log}"

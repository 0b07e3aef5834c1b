# Index, retrieval and selections: which passages of the corpus a task's training texts ask for (Section 3.1).


rule index:
    """BM25 index of a corpus."""
    input:
        corpus="data/corpora/{corpus}/manifest.json",
        script="scripts/index.py",
        code=code("artifacts.py", "retrieval"),
    output:
        "data/indexes/{corpus}/manifest.json",
    params:
        spec=as_json(PROJECT.settings.retrieval.index),
    log:
        "logs/index/{corpus}.log",
    benchmark:
        "benchmarks/index/{corpus}.tsv"
    threads: workflow.cores
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus})"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule retrieve:
    """Top-K passages for every training text, at the largest K that any variant reads."""
    input:
        index="data/indexes/{corpus}/manifest.json",
        task="data/tasks/{task}/manifest.json",
        script="scripts/retrieve.py",
        code=code("artifacts.py", "retrieval"),
    output:
        "data/retrieval/{corpus}/{task}/top{k}/manifest.json",
    params:
        spec=lambda wildcards: as_json(runs.retrieval_spec(PROJECT, int(wildcards.k))),
    log:
        "logs/retrieve/{corpus}-{task}-top{k}.log",
    benchmark:
        "benchmarks/retrieve/{corpus}-{task}-top{k}.tsv"
    threads: workflow.cores
    shell:
        "python {input.script} --spec {params.spec:q} --index $(dirname {input.index})"
        " --task $(dirname {input.task}) --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


def selection_of(wildcards):
    return Selection.from_name(wildcards.selection, wildcards.corpus, wildcards.task)


def selection_inputs(wildcards):
    """The retrieval, or the selection whose size is taken; nothing for the whole corpus."""
    selection = selection_of(wildcards)
    largest = runs.largest_k(PROJECT, wildcards.task) if selection.selector == "bm25" else 0
    return {
        role: runs.manifest(folder) for role, folder in selection.made_from(largest).items()
    }


rule selection:
    """The passages that stage 1 may read: the union over queries, or a rival's choice."""
    input:
        unpack(selection_inputs),
        corpus="data/corpora/{corpus}/manifest.json",
        script="scripts/selection.py",
        code=code("artifacts.py", "retrieval"),
    output:
        "data/selections/{corpus}/{task}/{selection}/manifest.json",
    params:
        spec=lambda wildcards: as_json(
            selection_of(wildcards).spec(PROJECT.settings.selection_seed)
        ),
        made_from=lambda wildcards, input: " ".join(
            f"--{role} {Path(input[role]).parent}" for role in ("retrieval", "like") if role in input.keys()
        ),
    log:
        "logs/selection/{corpus}-{task}-{selection}.log",
    benchmark:
        "benchmarks/selection/{corpus}-{task}-{selection}.tsv"
    threads: 1
    shell:
        "python {input.script} --spec {params.spec:q} --corpus $(dirname {input.corpus}) {params.made_from}"
        " --output $(dirname {output}) 2>&1 | tee {log}"

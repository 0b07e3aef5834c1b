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
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule internal_tokens:
    """A task's texts as tokens."""
    input:
        texts="data/tasks/{task}/manifest.json",
        tokenizer="data/tokenizers/{tokenizer}/manifest.json",
        script="scripts/tokens.py",
        code=code("artifacts.py", "training/tokens.py"),
    output:
        "data/tokens/{tokenizer}/internal/{task}/manifest.json",
    log:
        "logs/tokens/{tokenizer}-internal-{task}.log",
    benchmark:
        "benchmarks/tokens/{tokenizer}-internal-{task}.tsv"
    threads: 1
    shell:
        "python {input.script} --task $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule external_tokens:
    """A selection's passages as tokens."""
    input:
        texts="data/selections/{corpus}/{task}/{selection}/manifest.json",
        tokenizer="data/tokenizers/{tokenizer}/manifest.json",
        script="scripts/tokens.py",
        code=code("artifacts.py", "training/tokens.py"),
    output:
        "data/tokens/{tokenizer}/external/{corpus}/{task}/{selection}/manifest.json",
    log:
        "logs/tokens/{tokenizer}-{corpus}-{task}-{selection}.log",
    benchmark:
        "benchmarks/tokens/{tokenizer}-{corpus}-{task}-{selection}.tsv"
    threads: 1
    shell:
        "python {input.script} --selection $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"

# Tokenizer, tokens, stage 1 and stage 2 (Section 3.1).


rule tokenizer:
    """WordPiece, trained on the corpus; or a checkpoint's own."""
    input:
        unpack(RULES.tokenizer_inputs),
        script="scripts/tokenizer.py",
        code=import_closure("scripts/tokenizer.py"),
    output:
        "data/tokenizers/{tokenizer}/manifest.json",
    log:
        "logs/tokenizer/{tokenizer}.log",
    benchmark:
        "benchmarks/tokenizer/{tokenizer}.tsv"
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        spec=RULES.tokenizer_spec,
        corpus=RULES.tokenizer_flags,
    shell:
        "python {input.script} --spec {params.spec:q} {params.corpus}"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule internal_tokens:
    """A task's texts as tokens."""
    input:
        texts="data/tasks/{task}/manifest.json",
        tokenizer="data/tokenizers/{tokenizer}/manifest.json",
        script="scripts/tokens.py",
        code=import_closure("scripts/tokens.py"),
    output:
        "data/tokens/{tokenizer}/internal/{task}/manifest.json",
    log:
        "logs/internal_tokens/{tokenizer}-{task}.log",
    benchmark:
        "benchmarks/internal_tokens/{tokenizer}-{task}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        length=RULES.stored_length,
    shell:
        "python {input.script} --task $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --length {params.length} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule external_tokens:
    """A selection's passages as tokens."""
    input:
        texts="data/selections/{corpus}/{task}/{selection}/manifest.json",
        tokenizer="data/tokenizers/{tokenizer}/manifest.json",
        script="scripts/tokens.py",
        code=import_closure("scripts/tokens.py"),
    output:
        "data/tokens/{tokenizer}/external/{corpus}/{task}/{selection}/manifest.json",
    log:
        "logs/external_tokens/{tokenizer}-{corpus}-{task}-{selection}.log",
    benchmark:
        "benchmarks/external_tokens/{tokenizer}-{corpus}-{task}-{selection}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        length=RULES.stored_length,
    shell:
        "python {input.script} --selection $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --length {params.length} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule stage1:
    """Stage 1: external and internal data, interleaved; a PLM's pretraining is the same without internal data."""
    input:
        unpack(RULES.stage1_inputs),
        tokenizer=RULES.tokenizer,
        script="scripts/stage1.py",
        code=import_closure("scripts/stage1.py"),
    output:
        "runs/{scale}/{task}/{variant}/seed{seed}/stage1/manifest.json",
    log:
        "logs/stage1/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/stage1/{scale}-{task}-{variant}-seed{seed}.tsv"
    priority: RULES.stage1_priority
    conda:
        "../../environment.yml"
    threads: RULES.threads
    params:
        spec=RULES.stage1_spec,
        tokens=RULES.stage1_flags,
    shell:
        "$TLM_LAUNCH {input.script} --spec {params.spec:q} {params.tokens}"
        " --tokenizer $(dirname {input.tokenizer}) $TLM_TRACKERS"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule stage2:
    """Stage 2: the task alone, from stage 1's weights; the best dev checkpoint is kept."""
    input:
        unpack(RULES.stage2_inputs),
        tokenizer=RULES.tokenizer,
        script="scripts/stage2.py",
        code=import_closure("scripts/stage2.py"),
    output:
        "runs/{scale}/{task}/{variant}/seed{seed}/stage2/manifest.json",
    log:
        "logs/stage2/{scale}-{task}-{variant}-seed{seed}.log",
    benchmark:
        "benchmarks/stage2/{scale}-{task}-{variant}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: RULES.threads
    params:
        spec=RULES.stage2_spec,
        stage1=RULES.stage2_flags,
    shell:
        "$TLM_LAUNCH {input.script} --spec {params.spec:q} {params.stage1}"
        " --task-tokens $(dirname {input.tokens}) --tokenizer $(dirname {input.tokenizer}) $TLM_TRACKERS"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"

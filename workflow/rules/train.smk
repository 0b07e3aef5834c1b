# Tokenizer, tokens, stage 1 and stage 2 (Section 3.1).


rule tokenizer:
    """A WordPiece tokenizer trained on the corpus, or the tokenizer of a checkpoint."""
    input:
        unpack(RULES.tokenizer_inputs),
        script="scripts/tokenizer.py",
        code=import_closure("scripts/tokenizer.py"),
    output:
        layout.TOKENIZER.manifest,
    log:
        dag.log("tokenizer"),
    benchmark:
        dag.benchmark("tokenizer")
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        spec=RULES.tokenizer_spec,
        corpus=input_options("corpus"),
    shell:
        "python {input.script} --spec {params.spec:q} {params.corpus}"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule internal_tokens:
    """A task's texts as tokens."""
    input:
        texts=layout.TASK.manifest,
        tokenizer=layout.TOKENIZER.manifest,
        script="scripts/tokens.py",
        code=import_closure("scripts/tokens.py"),
    output:
        layout.INTERNAL_TOKENS.manifest,
    log:
        dag.log("internal_tokens"),
    benchmark:
        dag.benchmark("internal_tokens")
    conda:
        "../../environment.yml"
    params:
        length=RULES.stored_length,
    shell:
        "python {input.script} --task $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --length {params.length} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule external_tokens:
    """A selection's passages as tokens."""
    input:
        texts=layout.SELECTION.manifest,
        tokenizer=layout.TOKENIZER.manifest,
        script="scripts/tokens.py",
        code=import_closure("scripts/tokens.py"),
    output:
        layout.EXTERNAL_TOKENS.manifest,
    log:
        dag.log("external_tokens"),
    benchmark:
        dag.benchmark("external_tokens")
    conda:
        "../../environment.yml"
    params:
        length=RULES.stored_length,
    shell:
        "python {input.script} --selection $(dirname {input.texts}) --tokenizer $(dirname {input.tokenizer})"
        " --length {params.length} --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule stage1:
    """Stage 1: external and internal data, interleaved; a PLM's pretraining reads external data only."""
    input:
        unpack(RULES.stage1_inputs),
        tokenizer=RULES.tokenizer,
        script="scripts/stage1.py",
        code=import_closure("scripts/stage1.py"),
    output:
        layout.STAGE1.manifest,
    log:
        dag.log("stage1"),
    benchmark:
        dag.benchmark("stage1")
    priority: RULES.stage1_priority
    conda:
        "../../environment.yml"
    threads: RULES.threads
    params:
        spec=RULES.stage1_spec,
        made_from=input_options("task_tokens", "external_tokens", "start"),
        own=RULES.own_stage1_options,
    shell:
        "$TLM_LAUNCH {input.script} --spec {params.spec:q} {params.made_from} {params.own}"
        " --tokenizer $(dirname {input.tokenizer}) $TLM_TRACKERS"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule stage2:
    """Stage 2: finetuning on the task from the weights of stage 1; the best dev checkpoint is kept."""
    input:
        unpack(RULES.stage2_inputs),
        tokenizer=RULES.tokenizer,
        script="scripts/stage2.py",
        code=import_closure("scripts/stage2.py"),
    output:
        layout.STAGE2.manifest,
    log:
        dag.log("stage2"),
    benchmark:
        dag.benchmark("stage2")
    wildcard_constraints:
        variant=rf"(?!(?:{RULES.released_variants})/)[\w.-]+",
    conda:
        "../../environment.yml"
    threads: RULES.threads
    params:
        spec=RULES.stage2_spec,
        stage1=input_options("stage1"),
    shell:
        "$TLM_LAUNCH {input.script} --spec {params.spec:q} {params.stage1}"
        " --task-tokens $(dirname {input.tokens}) --tokenizer $(dirname {input.tokenizer}) $TLM_TRACKERS"
        " --threads {threads} --output $(dirname {output}) 2>&1 | tee {log}"


rule released:
    """A classifier that the paper's authors released, in the native format, in place of a stage 2."""
    input:
        unpack(RULES.released_inputs),
        task=layout.TASK.manifest,
        script="scripts/released.py",
        code=import_closure("scripts/released.py"),
    output:
        layout.STAGE2.manifest,
    log:
        dag.log("released"),
    benchmark:
        dag.benchmark("released")
    wildcard_constraints:
        variant=RULES.released_variants,
    conda:
        "../../environment.yml"
    params:
        spec=RULES.stage2_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --task $(dirname {input.task}) --rows $(dirname {input.rows})"
        " --output $(dirname {output}) 2>&1 | tee {log}"

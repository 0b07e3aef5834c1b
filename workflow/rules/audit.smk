# Contamination: dev and test texts that also occur in the data that a model is trained on (beyond the paper).


rule audit:
    """Search a training split, a corpus or a selection for the dev and test texts of a task."""
    input:
        unpack(RULES.audit_inputs),
        script="scripts/audit.py",
        code=import_closure("scripts/audit.py"),
    output:
        layout.AUDIT.manifest,
    log:
        dag.log("audit"),
    benchmark:
        dag.benchmark("audit")
    conda:
        "../../environment.yml"
    shell:
        "python {input.script} --task $(dirname {input.task}) --against $(dirname {input.body})"
        " --output $(dirname {output}) 2>&1 | tee {log}"


rule contamination:
    """Number of dev and test texts that each task shares with its training split, its corpora and its selections."""
    input:
        audits=RULES.contamination_inputs,
        script="scripts/contamination.py",
        code=import_closure("scripts/contamination.py"),
    output:
        csv=layout.CONTAMINATION.file("csv"),
        markdown=layout.CONTAMINATION.file("md"),
        html=report(
            layout.CONTAMINATION.file("html"),
            caption="../report/contamination.rst",
            category="Beyond the paper",
            labels={"result": "Contamination: test texts in training data"},
        ),
    log:
        dag.log("contamination"),
    benchmark:
        dag.benchmark("contamination")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.contamination_spec,
    shell:
        "python {input.script} --spec {params.spec:q}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"

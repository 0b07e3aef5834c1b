# Interpretation of the results: the ledger of the paper's claims, and differences between rows with intervals.


rule claims:
    """All claims of the paper, or one: the paper's evidence, our effect with an interval, and a verdict."""
    input:
        unpack(RULES.claims_inputs),
        reported="config/reported.yaml",
        script="scripts/claims.py",
        code=import_closure("scripts/claims.py"),
    output:
        csv=layout.CLAIMS.file("csv"),
        markdown=layout.CLAIMS.file("md"),
        html=report(
            layout.CLAIMS.file("html"),
            caption="../report/claims.rst",
            category="Beyond the paper",
            labels={"result": "The paper's claims"},
        ),
    log:
        dag.log("claims"),
    benchmark:
        dag.benchmark("claims")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.claims_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --made-from {input.made_from}"
        " --tasks {input.tasks} --corpora {input.corpora} --reported {input.reported}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"


rule differences:
    """Differences between the rows of a table, and from TF-IDF, with intervals."""
    input:
        runs=RULES.differences_runs,
        script="scripts/differences.py",
        code=import_closure("scripts/differences.py"),
    output:
        csv=layout.DIFFERENCES.file("csv"),
        markdown=layout.DIFFERENCES.file("md"),
        html=report(
            layout.DIFFERENCES.file("html"),
            caption="../report/differences.rst",
            category="Differences between rows",
            labels=RULES.labels,
        ),
    log:
        dag.log("differences"),
    benchmark:
        dag.benchmark("differences")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.differences_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --runs {input.runs}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"

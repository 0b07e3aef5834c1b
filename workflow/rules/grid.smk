# The grid search over rho1 and rho2 on dev (Section 4.1, Appendix B).


rule grid:
    """The dev score of every pair of rho1 and rho2, for one task or for all, and the pair that the search chooses."""
    input:
        stages=RULES.grid_inputs,
        reported="config/reported.yaml",
        script="scripts/grid.py",
        code=import_closure("scripts/grid.py"),
    output:
        csv=layout.GRID.file("csv"),
        markdown=layout.GRID.file("md"),
        html=report(
            layout.GRID.file("html"),
            caption="../report/grid.rst",
            category="Beyond the paper",
            labels={"result": "Grid search{one}"},
        ),
    log:
        dag.log("grid"),
    benchmark:
        dag.benchmark("grid")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.grid_spec,
    shell:
        "python {input.script} --spec {params.spec:q} --reported {input.reported}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"

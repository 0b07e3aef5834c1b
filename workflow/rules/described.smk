# Tables A.1 and B.1: the hyper-parameters of the configuration beside the paper's. They need no training.


rule setting:
    """The hyper-parameters of one scale's tasks, beside the paper's."""
    input:
        script="scripts/setting.py",
        code=import_closure("scripts/setting.py"),
    output:
        layout.SETTING_CELL,
    log:
        dag.log("setting"),
    benchmark:
        dag.benchmark("setting")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.setting,
    shell:
        "python {input.script} --spec {params.spec:q} --output {output} 2>&1 | tee {log}"


rule settings:
    """Table A.1 or B.1, every configured scale and task."""
    input:
        unpack(RULES.setting_cells),
        reported="config/reported.yaml",
        script="scripts/settings.py",
        code=import_closure("scripts/settings.py"),
    output:
        csv=layout.SETTINGS_TABLE.file("csv"),
        markdown=layout.SETTINGS_TABLE.file("md"),
        html=report(
            layout.SETTINGS_TABLE.file("html"),
            caption="../report/described.rst",
            category="Tables of the paper",
            labels=RULES.labels,
        ),
    log:
        dag.log("settings"),
    benchmark:
        dag.benchmark("settings")
    conda:
        "../../environment.yml"
    shell:
        "python {input.script} --name {wildcards.described} --cells {input.cells} --reported {input.reported}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"

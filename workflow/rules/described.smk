# Tables A.1 and B.1: what the configuration says, beside what the paper says. Nothing is trained for them.


rule setting:
    """The hyper-parameters of one scale's tasks, beside the paper's."""
    input:
        script="scripts/setting.py",
        code=import_closure("scripts/setting.py"),
    output:
        "results/cells/{described}/{row}/tasks.json",
    log:
        "logs/setting/{described}-{row}.log",
    benchmark:
        "benchmarks/setting/{described}-{row}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    params:
        spec=RULES.setting,
    shell:
        "python {input.script} --spec {params.spec:q} --output {output} 2>&1 | tee {log}"


rule settings:
    """Table A.1 or B.1, every configured scale and task."""
    input:
        cells=RULES.setting_cells,
        parent_folders=RULES.setting_folders,
        reported="config/reported.yaml",
        script="scripts/settings.py",
        code=import_closure("scripts/settings.py"),
    output:
        csv="results/{described}.csv",
        markdown="results/{described}.md",
        html=report(
            "results/{described}.html",
            caption="../report/described.rst",
            category="Tables of the paper",
            labels=RULES.described_labels,
        ),
    log:
        "logs/settings/{described}.log",
    benchmark:
        "benchmarks/settings/{described}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    shell:
        "python {input.script} --name {wildcards.described} --cells {input.cells} --reported {input.reported}"
        " --csv {output.csv} --markdown {output.markdown} --html {output.html} 2>&1 | tee {log}"

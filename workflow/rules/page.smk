# The report of one task: the quality of its model, the gain from TLM, and the data behind it.


rule task_report:
    """A self-contained page, and the same content as JSON (docs/task-report.md)."""
    input:
        unpack(RULES.page_inputs),
        script="scripts/task_report.py",
        code=import_closure("scripts/task_report.py"),
    output:
        json=layout.TASK_REPORT.file("json"),
        html=report(
            layout.TASK_REPORT.file("html"),
            caption="../report/task.rst",
            category="Reports of tasks",
            labels=RULES.labels,
        ),
    log:
        dag.log("task_report"),
    benchmark:
        dag.benchmark("task_report")
    conda:
        "../../environment.yml"
    params:
        spec=RULES.page_spec,
        made_from=input_options(
            "task", "tokens", "corpus", "retrieval", "audit", "evaluations", "stages"
        ),
        benchmarks=RULES.page_benchmarks,
        forecast=RULES.page_forecast,
    shell:
        "python {input.script} --spec {params.spec:q} {params.made_from}"
        " --benchmarks {params.benchmarks} {params.forecast}"
        " --json {output.json} --html {output.html} 2>&1 | tee {log}"

# Serving: finished models as folders that work without this project (docs/serving.md).


rule export:
    """The model of the seed with the best dev score: calibrated weights, tokenizer, class names, a linear model, a card."""
    input:
        unpack(RULES.export_inputs),
        script="scripts/export.py",
        code=import_closure("scripts/export.py"),
    output:
        layout.MODEL.manifest,
    log:
        dag.log("export"),
    benchmark:
        dag.benchmark("export")
    conda:
        "../../environment.yml"
    params:
        made_from=input_options(
            "task", "stages", "evaluations", "linear", "selection", "corpus"
        ),
    shell:
        "python {input.script} --name {wildcards.model} {params.made_from} --output $(dirname {output})"
        " 2>&1 | tee {log}"


rule export_onnx:
    """The same model for ONNX Runtime, compared with PyTorch before it is saved."""
    input:
        model=layout.MODEL.manifest,
        script="scripts/export_onnx.py",
        code=import_closure("scripts/export_onnx.py"),
    output:
        layout.ONNX,
    log:
        dag.log("export_onnx"),
    benchmark:
        dag.benchmark("export_onnx")
    conda:
        "../../environment.yml"
    shell:
        "python {input.script} --model $(dirname {input.model}) --output {output} 2>&1 | tee {log}"

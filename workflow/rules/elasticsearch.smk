# A local Elasticsearch server during each job that needs one, if retrieval.elasticsearch.start has a command.


rule server:
    """The server of one job. Snakemake starts a service together with its job, so `index` and `retrieve` have one each."""
    input:
        script="scripts/server.py",
        code=import_closure("scripts/server.py"),
    output:
        service(layout.SERVER),
    log:
        dag.log("server"),
    conda:
        "../../environment.yml"
    # The server does the work of its job. It reserves all cores, so two servers never use the same address.
    threads: CORES
    # Snakemake signals the process that it started. `exec` makes this process the script itself, even with `tee`.
    shell:
        "exec python {input.script} --state {output} > >(tee {log}) 2>&1"

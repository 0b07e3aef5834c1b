# A local Elasticsearch for the length of each job that needs one, where retrieval.elasticsearch.start has a command.


rule server:
    """The server of one job: a service starts together with its users, so `index` and `retrieve` get one each."""
    input:
        script="scripts/server.py",
        code=import_closure("scripts/server.py"),
    output:
        service(layout.SERVER),
    log:
        dag.log("server"),
    conda:
        "../../environment.yml"
    # The server does the work of its user; with all cores taken, no two servers share the address.
    threads: CORES
    # Snakemake signals the process that it started: `exec` makes that the script itself, also behind `tee`.
    shell:
        "exec python {input.script} --state {output} > >(tee {log}) 2>&1"

# The pipeline's table of contents. Each stage is one file of workflow/rules/, each rule one script of scripts/.
#
#   snakemake results/table2.csv                the main results, on all cores
#   snakemake                                   every table and figure of config/experiments.yaml
#   snakemake -n --config scale=mini            what a larger scale would run
#   snakemake --report results/report.html      what is built, as one page


from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/elasticsearch.smk"
include: "workflow/rules/retrieve.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/serving.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/described.smk"
include: "workflow/rules/examples.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/page.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/grid.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        RULES.finals(
            expand(layout.TABLE.file("html"), table=[*RULES.tables, *TABLES]),
            expand(
                layout.EXAMPLES_TABLE.file("html"),
                examples=PROJECT.experiments.examples,
            ),
            expand(layout.FIGURE.file("png"), figure=PROJECT.experiments.figures),
            expand(layout.DIFFERENCES.file("html"), table=RULES.compared_tables),
            [
                layout.ATTENTION_TABLE.file("html"),
                layout.CLAIMS.file("html").format(one=""),
            ],
            [layout.CONTAMINATION.file("html")],
            RULES.pages,
        ),

"""Rule `task_report`: the quality of a task's model and the gain from TLM, as JSON and as a page."""

import argparse
from pathlib import Path

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json, write_text
    from tlm.config.base import parse_json
    from tlm.config.task_report import PageSpec
    from tlm.results.page.gather import Folders, gather
    from tlm.results.page.render import render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="PageSpec as JSON, or @file")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task artifact")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of the task's tokens")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--retrieval", type=Path, required=True, help="folder of the task's retrieval")
    parser.add_argument("--audit", type=Path, required=True, help="folder of the audit of TLM's passages")
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="of every method and seed")
    parser.add_argument("--stages", type=Path, nargs="+", required=True, help="stages 1 and 2 of those runs")
    parser.add_argument(
        "--benchmarks", nargs="*", default=[], metavar="STEP=FILE", help="benchmark files of Snakemake"
    )
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--html", type=Path, required=True)
    options = parser.parse_args()
    folders = Folders(
        task=options.task,
        tokens=options.tokens,
        corpus=options.corpus,
        retrieval=options.retrieval,
        audit=options.audit,
        evaluations=options.evaluations,
        stages=options.stages,
        benchmarks={step: Path(file) for step, file in (each.split("=", 1) for each in options.benchmarks)},
    )
    report = gather(parse_json(PageSpec, options.spec, "--spec"), folders)
    page = render(report)
    write_json(options.json, report.model_dump(mode="json"))
    write_text(options.html, page)


if __name__ == "__main__":
    run_script(main)

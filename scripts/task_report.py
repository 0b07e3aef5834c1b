"""Rule `task_report`: the quality of a task's model and the gain from TLM, as JSON and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tlm.process import quick_imports, run_script

with quick_imports():
    from tlm.artifacts import write_json, write_text
    from tlm.config.task_report import PageSpec
    from tlm.results.build_times import as_text
    from tlm.results.page.gather import Folders, gather
    from tlm.results.page.render import render


def main(
    *,
    spec: PageSpec,
    task: Annotated[Path, "folder of the task artifact"],
    tokens: Annotated[Path, "folder of the task's tokens"],
    corpus: Annotated[Path, "folder of the corpus"],
    retrieval: Annotated[Path, "folder of the task's retrieval"],
    audit: Annotated[Path, "folder of the audit of TLM's passages"],
    evaluations: Annotated[Sequence[Path], "of every method and seed"],
    stages: Annotated[Sequence[Path], "stages 1 and 2 of those runs"],
    benchmarks: Annotated[Sequence[str], "benchmark files of Snakemake, as STEP=FILE"] = (),
    forecast: Annotated[Path | None, "file of `tlm new` with the forecast of each job"] = None,
    json: Path,
    html: Path,
) -> None:
    files = {step: Path(file) for step, file in (each.split("=", 1) for each in benchmarks)}
    folders = Folders(task, tokens, corpus, retrieval, audit, evaluations, stages, files, forecast)
    report = gather(spec, folders)
    page = render(report)
    write_json(json, report.model_dump(mode="json"))
    write_text(html, page)
    if report.build is not None:
        print(as_text(report.build))


if __name__ == "__main__":
    run_script(main)

"""The first page of the report: the built scale, its settings, the main results and the run times.

Place in the flow: the configuration, the records of the runs and the finished results → here → the first page of
`snakemake --report` (workflow/report/workflow.rst). It describes only results that are built.
"""

from __future__ import annotations

import csv
import json
import platform
import re
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from tlm import __version__, layout
from tlm.config.claims import RIVAL_CLAIMS
from tlm.dag import RULES
from tlm.plan.project import Project
from tlm.progress import duration
from tlm.results.benchmarks import read_benchmark

_PACKAGES = ("snakemake", "numpy", "pyarrow", "scikit-learn")
_MARKUP = re.compile(r"([\\*`_|])")


def overview(project: Project, root: Path = Path()) -> dict[str, Any]:
    """The variables of the first page, escaped for reStructuredText; `root` is the project's folder."""
    scale = project.scale
    return {
        "scale": project.settings.scale,
        "description": plain(scale.description),
        "facts": [
            (name, plain(value))
            for name, value in (
                ("tasks", ", ".join(scale.tasks)),
                ("corpus", scale.corpus),
                ("seeds", ", ".join(map(str, project.seeds))),
                ("passages per query (K)", str(scale.k)),
                ("baselines", ", ".join(project.variant(name).label or name for name in scale.baselines)),
            )
        ],
        "findings": [plain(sentence) for sentence in findings(project, root)],
        "settings": _yaml(project.settings.model_dump(mode="json", exclude_defaults=True)),
        "scale_settings": _yaml(scale.model_dump(mode="json", exclude_defaults=True)),
        "versions": [(name, plain(value)) for name, value in versions(project.settings.scale, root)],
        "times": [tuple(map(plain, line)) for line in times(root)],
    }


def plain(text: str) -> str:
    """`text` escaped for reStructuredText."""
    return _MARKUP.sub(r"\\\1", text)


def _yaml(values: dict[str, Any]) -> str:
    """`values` as YAML, indented for a literal block."""
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None, width=60)
    return "\n".join(f"    {line}" for line in text.splitlines())


def findings(project: Project, root: Path) -> Iterator[str]:
    """Sentences on the results: the verdicts on the paper's claims, and TLM against the linear models."""
    ledger = root / layout.CLAIMS.file("csv").format(one="")
    if ledger.is_file():
        with ledger.open(newline="", encoding="utf-8") as lines:
            verdicts = Counter(row["verdict"] for row in csv.DictReader(lines) if row["task"] == "all")
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common() if verdict)
        if counts:
            yield f"The paper's claims at this scale: {counts}."
    claims = project.experiments.claims
    table = next((claims[name].table for name in RIVAL_CLAIMS if name in claims), None)
    differences = layout.DIFFERENCES.format(table=table)
    for name in (layout.CLAIMS.format(one=""), differences):
        path = root / f"{name}.md"
        if path.is_file():
            found = [
                line.removeprefix("- ")
                for line in path.read_text(encoding="utf-8").splitlines()
                if re.match(
                    rf"(- )?TLM\b.*(beats?) ({'|'.join(map(re.escape, RIVAL_CLAIMS.values()))})", line
                )
            ]
            if found:
                yield from found
                return
    if (root / layout.TABLE.file("csv").format(table=table)).is_file():
        yield f"To compare TLM with the linear models, build {differences}.csv."


def versions(scale: str, root: Path) -> list[tuple[str, str]]:
    """The software and processor of the runs of `scale`, then the versions behind this report."""
    found: Counter[str] = Counter()
    runs = layout.RUN.format(scale=scale, task="*", variant="*", seed="*")
    for path in sorted(root.glob(f"{runs}/stage[12]/record.json")):
        made = json.loads(path.read_text(encoding="utf-8"))["environment"]
        found[
            f"torch {made['torch']}, transformers {made['transformers']}, {made['precision']} on {made['device']} "
            f"({made['processor']}), {made['threads']} thread{'s' * (made['threads'] != 1)}"
        ] += 1
    trained = [(f"{count} stages trained with", text) for text, count in found.most_common()]
    here = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return [
        *trained,
        ("report written with", f"tlm {__version__}, Python {platform.python_version()}, {here}"),
    ]


def times(root: Path) -> list[tuple[str, str, str, str, str]]:
    """For each rule: its name, number of jobs, total time, longest job, and largest memory of a job."""
    lines = []
    for rule in RULES:
        jobs = [
            read_benchmark(path) for path in sorted(root.glob(layout.BENCHMARK.format(job=f"{rule}/**/*")))
        ]
        seconds = [job.seconds for job in jobs if job.seconds is not None]
        memory = [job.memory for job in jobs if job.memory is not None]
        if seconds:
            most = f"{max(memory) / 1e6:,.0f} MB" if memory else ""
            lines.append((sum(seconds), rule, len(seconds), max(seconds), most))
    lines.sort(reverse=True)
    return [
        (rule, str(jobs), duration(total), duration(longest), most)
        for total, rule, jobs, longest, most in lines
    ]

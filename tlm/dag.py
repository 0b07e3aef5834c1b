"""The DAG's rules, in the order of the flow: what each makes, how it is named in logs, and what it runs on.

Place in the flow: `tlm.layout` → here → the Snakefile (logs, benchmarks, threads), DVC's stages, `tlm cost`, and the
figures and reports that read benchmark files. A test compares this list with the Snakefile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tlm import layout
from tlm.layout import Pattern


@dataclass(frozen=True)
class Rule:
    """A rule of workflow/rules/."""

    name: str
    output: Pattern
    """Its first output; of an artifact the manifest."""
    stage: str
    """The stage of its jobs in dvc.yaml (`tlm.store.stages`); "" if its output exists only while a job runs."""
    all_cores: bool = False
    """Whether one job takes all cores."""
    on_device: bool = False
    """Whether its jobs compute on the GPU if there is one."""
    named: str = ""
    """A job's name in logs/ and benchmarks/, if it is not made of the rule's name and its wildcards."""

    @property
    def job(self) -> str:
        """A job's name in logs/ and benchmarks/: `stage1/{scale}-{task}-{variant}-seed{seed}`."""
        parts = [part for part in re.sub(r"\.\w+$", "", self.output).split("/") if "{" in part]
        return self.named or "/".join([self.name, *(["-".join(parts)] if parts else [])])

    @property
    def log(self) -> str:
        """The log of a job, with wildcards."""
        return layout.LOG.format(job=self.job)

    @property
    def benchmark(self) -> str:
        """The benchmark file of a job, with wildcards."""
        return layout.BENCHMARK.format(job=self.job)

    def benchmark_of(self, output: str) -> str:
        """The benchmark file of the job that makes `output`. Raises TlmError for a path that the rule does not make."""
        return self.benchmark.format(**self.output.parse(output))


_RULES = (
    Rule("fetch", layout.SOURCE.manifest, "source"),
    Rule("task", layout.TASK.manifest, "task"),
    Rule("corpus", layout.CORPUS.manifest, "corpus", all_cores=True),
    Rule("tokenizer", layout.TOKENIZER.manifest, "tokenizer", all_cores=True),
    Rule("server", layout.SERVER, "", all_cores=True),
    Rule("index_share", layout.INDEX_SHARE.manifest, "index"),
    Rule("index", layout.INDEX.manifest, "index", all_cores=True),
    Rule("retrieve_share", layout.RETRIEVAL_SHARE.manifest, "retrieve"),
    Rule("retrieve", layout.RETRIEVAL.manifest, "retrieve", all_cores=True),
    Rule("audit", layout.AUDIT.manifest, "audit", named="audit/{task}/{body}"),
    Rule("selection", layout.SELECTION.manifest, "select"),
    Rule("internal_tokens", layout.INTERNAL_TOKENS.manifest, "tokens"),
    Rule("external_tokens", layout.EXTERNAL_TOKENS.manifest, "tokens"),
    Rule("stage1", layout.STAGE1.manifest, "train", on_device=True),
    Rule("stage2", layout.STAGE2.manifest, "train", on_device=True),
    Rule("released", layout.STAGE2.manifest, "train", on_device=True),
    Rule("evaluate", layout.EVALUATION.manifest, "evaluate", on_device=True),
    Rule("linear", layout.EVALUATION.manifest, "evaluate"),
    Rule("attention", layout.ATTENTION.manifest, "evaluate", on_device=True),
    Rule("export", layout.MODEL.manifest, "model"),
    Rule("export_onnx", layout.ONNX, "model"),
    Rule("cell", layout.CELL, "tables"),
    Rule("table", layout.TABLE.file("csv"), "tables"),
    Rule("setting", layout.SETTING_CELL, "tables"),
    Rule("settings", layout.SETTINGS_TABLE.file("csv"), "tables"),
    Rule("examples", layout.EXAMPLES_CELL, "tables"),
    Rule("example_table", layout.EXAMPLES_TABLE.file("csv"), "tables"),
    Rule("attention_table", layout.ATTENTION_TABLE.file("csv"), "tables"),
    Rule("contamination", layout.CONTAMINATION.file("csv"), "tables"),
    Rule("differences", layout.DIFFERENCES.file("csv"), "tables"),
    Rule("grid", layout.GRID.file("csv"), "tables", named="grid{one}"),
    Rule("claims", layout.CLAIMS.file("csv"), "tables", named="claims{one}"),
    Rule("figure", layout.FIGURE.file("pdf"), "figures"),
    Rule("task_report", layout.TASK_REPORT.file("json"), "figures"),
)
RULES = {rule.name: rule for rule in _RULES}
"""Name → rule, in the order of the flow."""


def log(rule: str) -> str:
    """The log of a rule's jobs, for the Snakefile."""
    return RULES[rule].log


def benchmark(rule: str) -> str:
    """The benchmark file of a rule's jobs, for the Snakefile."""
    return RULES[rule].benchmark

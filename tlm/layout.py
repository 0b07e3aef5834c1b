"""Where artifacts are stored: one pattern an artifact, to make its path from names and to read the names back.

Place in the flow: below everything that reads or writes an artifact. No other module of `tlm/` builds a path below
data/, runs/, models/, results/, logs/ or benchmarks/ from names; a test looks for such paths. `tlm.dag` adds which rule
makes which artifact.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePath

from tlm.artifacts import MANIFEST
from tlm.errors import TlmError

SHARED = "shared"
"""Takes the place of the task in the path of an artifact that several tasks share (a PLM's stage 1)."""

UNLABELLED = "unlabelled"
"""Name of the Parquet file of a task, and of the store of its tokens, that hold the task's unlabelled texts."""

NAME = r"[\w.-]+"
"""What a name may be, as a regular expression."""

_OTHER_NAMES = {
    "seed": r"\d+",
    "k": r"\d+",
    "scatteritem": r"\d+-of-\d+",  # Snakemake's name for the number of a share
    "body": rf"(?:tasks|corpora)/{NAME}|selections/{NAME}/{NAME}/{NAME}",
    "one": rf"|/{NAME}",
}


class Pattern(str):
    """A path with names in braces, as Snakemake writes wildcards: `data/tasks/{task}`.

    `format(task="imdb")` makes a path; `parse` is its inverse.
    """

    __slots__ = ()

    @property
    def manifest(self) -> Pattern:
        """The manifest of this folder: the file that rules name as input and output."""
        return Pattern(manifest(self))

    def file(self, suffix: str) -> Pattern:
        """The file of that suffix, of a result that consists of several files."""
        return Pattern(f"{self}.{suffix}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names in braces, in order."""
        return tuple(re.findall(r"\{(\w+)\}", self))

    def match(self, path: str | PurePath) -> dict[str, str] | None:
        """Name → value if `path` has this form, else None."""
        found = _expression(self).fullmatch(str(path))
        return found.groupdict() if found else None

    def parse(self, path: str | PurePath) -> dict[str, str]:
        """Name → value. Raises TlmError for a path of another form."""
        found = self.match(path)
        if found is None:
            raise TlmError(f"{path}: expected a path of the form {self}")
        return found


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)  # text, name, text, name, …, text
    named = (
        rf"(?P<{part}>{_OTHER_NAMES.get(part, NAME)})" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
    return re.compile("".join(named))


def manifest(folder: str | PurePath) -> str:
    """The manifest of an artifact's folder: what rules name as input and output."""
    return f"{folder}/{MANIFEST}"


# Folders of data. An artifact is a folder with a manifest.
SOURCE = Pattern("data/sources/{source}")
TASK = Pattern("data/tasks/{task}")
CORPUS = Pattern("data/corpora/{corpus}")
TOKENIZER = Pattern("data/tokenizers/{tokenizer}")
INDEX = Pattern("data/indexes/{corpus}")
INDEX_SHARE = Pattern("data/shares/index/{corpus}/{scatteritem}")
RETRIEVAL = Pattern("data/retrieval/{corpus}/{task}/top{k}")
RETRIEVAL_SHARE = Pattern("data/shares/retrieval/{corpus}/{task}/top{k}/{scatteritem}")
SELECTION = Pattern("data/selections/{corpus}/{task}/{selection}")
AUDIT = Pattern("data/audits/{task}/{body}")
INTERNAL_TOKENS = Pattern("data/tokens/{tokenizer}/internal/{task}")
EXTERNAL_TOKENS = Pattern("data/tokens/{tokenizer}/external/{corpus}/{task}/{selection}")
AUDITED = Pattern("data/{body}")
"""Where an audit looks for dev and test texts: a task, a corpus or a selection."""

# Folders and files that no manifest names.
SERVER = Pattern("data/servers/{job}.json")
DOWNLOADS = "data/cache"
HUB = "data/hub"
SHARES = "data/shares"

# Runs, models and their parts.
RUN = Pattern("runs/{scale}/{task}/{variant}/seed{seed}")
STAGE1 = Pattern(f"{RUN}/stage1")
STABLE = Pattern(f"{RUN}/stable")
"""Stage 1 before its decay, kept for a longer run. No rule's output: Snakemake would delete it before stage 1 runs."""
STAGE2 = Pattern(f"{RUN}/stage2")
EVALUATION = Pattern(f"{RUN}/evaluation")
ATTENTION = Pattern(f"{RUN}/attention")
MODEL = Pattern("models/{model}")
ONNX = Pattern(f"{MODEL}/onnx/model.onnx")

# Results. Those without a suffix consist of several files: `.csv`, `.md`, `.html`, `.pdf`, `.png` or `.json`.
CELL = Pattern("results/cells/{table}/{row}/{column}.json")
SETTING_CELL = Pattern("results/cells/{described}/{row}/tasks.json")
EXAMPLES_CELL = Pattern("results/cells/{examples}/{task}/examples.json")
CELLS = Pattern("results/cells/{table}")
TABLE = Pattern("results/{table}")
SETTINGS_TABLE = Pattern("results/{described}")
EXAMPLES_TABLE = Pattern("results/{examples}")
ATTENTION_TABLE = Pattern("results/attention")
CONTAMINATION = Pattern("results/contamination")
CLAIMS = Pattern("results/claims{one}")
GRID = Pattern("results/grid{one}")
DIFFERENCES = Pattern("results/differences/{table}")
FIGURE = Pattern("results/{figure}")
TASK_REPORT = Pattern("results/tasks/{task}/report")

# What Snakemake writes about a job (`tlm.dag` says under which name).
LOG = Pattern("logs/{job}.log")
BENCHMARK = Pattern("benchmarks/{job}.tsv")

WILDCARDS = {
    name: _OTHER_NAMES.get(name, NAME)
    for pattern in list(globals().values())
    if isinstance(pattern, Pattern)
    for name in pattern.names
}
"""Name in a pattern → the values that it can have, as a regular expression."""

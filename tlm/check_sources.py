"""`tlm check-sources`: whether every declared download still exists, and is the pinned file.

Place in the flow: config/ and `tlm.sources.check` → the command line of this package.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlm.config.base import load_yaml
from tlm.errors import TlmError
from tlm.plan.project import Project, load_project
from tlm.sources.check import FAULTS, Answer, check_sources


def add_parser(commands: Any) -> None:
    """Add `check-sources` to the subcommands of `tlm`."""
    parser = commands.add_parser(
        "check-sources",
        help="ask every source for its size and digest, without downloading",
        description="Ask the server of every file in config/sources.yaml, and of every model and tokenizer of the Hub"
        " that a scale or variant names, for size and digest. Nothing is downloaded. Exit code 1 if a file is gone,"
        " differs from the pinned one, or a server does not answer. HF_ENDPOINT and PIP_INDEX_URL name other servers.",
    )
    parser.add_argument("sources", nargs="*", help="names of sources (default: all, and all checkpoints)")
    parser.add_argument(
        "--faults", action="store_true", help="print only what is gone, differs or does not answer"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print an answer for each file, and a summary. Raises TlmError for an unknown source."""
    folder = Path("config")
    project = load_project(load_yaml(folder / "config.yaml"), folder)
    declared = project.data.sources
    if unknown := [name for name in args.sources if name not in declared]:
        raise TlmError(f"no source {unknown[0]!r} in config/sources.yaml; there are {', '.join(declared)}")
    wanted = {name: declared[name] for name in args.sources or declared}
    checkpoints = [] if args.sources else checkpoints_of(project)
    statuses: Counter[str] = Counter()
    for answer in check_sources(wanted, checkpoints, project.settings.mirrors):
        statuses[answer.status] += 1
        if args.json:
            print(json.dumps(asdict(answer)), flush=True)
        elif answer.status in FAULTS or not args.faults:
            print(line(answer), flush=True)
    counts = ", ".join(f"{count} {status}" for status, count in statuses.most_common())
    print(f"{sum(statuses.values())} asked: {counts}", file=sys.stderr)
    if any(statuses[fault] for fault in FAULTS):
        sys.exit(1)


def line(answer: Answer) -> str:
    """A row of the table: status, bytes, digest, source, address and note."""
    size = "" if answer.size is None else f"{answer.size:,}"
    note = f"  ({answer.note})" if answer.note else ""
    return f"{answer.status:9}  {size:>15}  {(answer.sha256 or '')[:12]:12}  {answer.source}  {answer.address}{note}"


def checkpoints_of(project: Project) -> list[tuple[str, str | None]]:
    """Name and revision of each model and tokenizer of the Hub that a scale or a variant names, once."""
    found = dict.fromkeys(_named(project))
    return [(name, revision) for name, revision in found if not name.startswith((".", "/", "~"))]


def _named(project: Project) -> Iterator[tuple[str, str | None]]:
    entries: Iterable[Any] = [
        *(variant.model for variant in project.experiments.variants.values()),
        *(scale.tokenizer.model_dump() for scale in project.scales.values()),
        *(
            entry.get("released", {})
            for scale in project.scales.values()
            for entry in scale.per_task.values()
        ),
        *(
            entry.get("model", {})
            for variant in project.experiments.variants.values()
            for entry in variant.per_task.values()
        ),
    ]
    for entry in entries:
        if entry.get("pretrained"):
            yield entry["pretrained"], entry.get("revision")

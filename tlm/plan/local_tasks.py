"""Tasks from your own folders, in place of their declared sources (`local_tasks` in config.yaml).

Place in the flow: between config/tasks.yaml and everything that reads it; no other module handles it. For
machines without a network, for files that are no longer to be had, and for a task's name with other data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tlm.config.base import parse
from tlm.config.data import DataConfig, Delimited, Split, TaskSpec
from tlm.config.sources import SourceSpec
from tlm.errors import TlmError

_SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def with_local_tasks(data: DataConfig, folders: Mapping[str, str]) -> DataConfig:
    """`data` with the rows of each task in `folders` taken from that folder's train, dev and test files.

    A file is `<split>.csv`, `.tsv`, `.jsonl` or `.parquet`, also compressed, with the columns `text`, `label` and,
    for a task of pairs, `text_pair`. Metric, limits and, where dev is not given, the rule of the split stay the task's.
    Raises TlmError for an unknown task, and for a folder without a training file or with two files of a split.
    """
    sources, tasks = dict(data.sources), dict(data.tasks)
    for name, folder in folders.items():
        if name not in tasks:
            raise TlmError(
                f"local_tasks: no task {name!r} in tasks.yaml; there are {', '.join(sorted(tasks))}"
            )
        files = _files(name, Path(folder))
        source = f"local-{name}"
        sources[source] = parse(
            SourceSpec,
            {"files": [{"uri": f"file://{path}"} for path in files.values()]},
            f"local_tasks.{name}",
        )
        tasks[name] = _task(name, tasks[name], source, files)
    return DataConfig(sources=sources, tasks=tasks, corpora=data.corpora)


def _files(name: str, folder: Path) -> dict[Split, Path]:
    found: dict[Split, Path] = {}
    for split in _SPLITS:
        matching = sorted(folder.glob(f"{split}.*"))
        if len(matching) > 1:
            raise TlmError(
                f"local_tasks.{name}: {folder} has two files of {split}: {matching[0].name}, {matching[1].name}"
            )
        if matching:
            found[split] = matching[0]
    if "train" not in found:
        raise TlmError(f"local_tasks.{name}: {folder} has no train.csv, .tsv, .jsonl or .parquet")
    return found


def _task(name: str, spec: TaskSpec, source: str, files: Mapping[Split, Path]) -> TaskSpec:
    """The task with its rows from `files`."""
    declared = spec.parser if isinstance(spec.parser, Delimited) else None
    parser = {
        "format": "delimited",
        "splits": {split: path.name for split, path in files.items()},
        "text_pair": "text_pair" if declared is not None and declared.text_pair else None,
        "label_names": declared.label_names if declared is not None else {},
    }
    given = "dev" in files and ("test" in files or spec.hidden_test)
    changed = {
        "source": source,
        "parser": parser,
        "split": "given" if given else spec.split,
        "hidden_test": spec.hidden_test and "test" not in files,
        # Labels of another format (names of folders, say) need not be those of these files.
        "labels": spec.labels if declared is not None else None,
    }
    return parse(TaskSpec, {**spec.model_dump(), **changed}, f"local_tasks.{name}")

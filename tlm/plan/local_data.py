"""Tasks and corpora from your own files, in place of their declared sources: `local_tasks`, `local_corpora`.

Place in the flow: between config/tasks.yaml, config/corpora.yaml and everything that reads them; no other module
handles these settings. For machines without a network, and for files that no public address offers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tlm.config.base import parse
from tlm.config.data import CorpusSpec, DataConfig, TaskSpec
from tlm.config.parser_specs import Delimited, Split
from tlm.config.sources import SourceSpec, local_files, why_no_file
from tlm.errors import TlmError, did_you_mean
from tlm.layout import UNLABELLED

_SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def with_local_tasks(data: DataConfig, folders: Mapping[str, str]) -> DataConfig:
    """`data` with the rows of each task in `folders` taken from that folder's train, dev and test files.

    A file is `<split>.csv` or another format of rows (`tlm.formats`), with the columns `text`, `label` and, for a task
    of pairs, `text_pair`; labels of a multi_label task are lists, or as the task declares. A file `unlabelled.*` holds
    more texts without labels. Metric, limits and, where dev is not given, the rule of the split stay the task's. Raises
    TlmError for an unknown task, and for a folder without a training file or with two files of a split.
    """
    sources, tasks = dict(data.sources), dict(data.tasks)
    for name, folder in folders.items():
        if name not in tasks:
            raise TlmError(
                f"local_tasks: no task {name!r} in tasks.yaml{did_you_mean(name, tasks)}; there are"
                f" {', '.join(sorted(tasks))}"
            )
        files = _files(name, Path(folder))
        source = f"local-{name}"
        sources[source] = parse(
            SourceSpec,
            {"files": [{"uri": f"file://{path}"} for path in files.values()]},
            f"local_tasks.{name}",
        )
        tasks[name] = _task(name, tasks[name], source, files)
    return data.model_copy(update={"sources": sources, "tasks": tasks})


def with_local_corpora(data: DataConfig, files: Mapping[str, str]) -> DataConfig:
    """`data` with the text of each corpus in `files` read from that file, folder or glob; sizes of passages stay.

    Raises TlmError for an unknown corpus, a sample of another corpus, and a path that names no file.
    """
    sources, corpora = dict(data.sources), dict(data.corpora)
    for name, path in files.items():
        where = f"local_corpora.{name}"
        if name not in corpora:
            raise TlmError(
                f"{where}: no such corpus in corpora.yaml{did_you_mean(name, corpora)}; there are"
                f" {', '.join(sorted(corpora))}"
            )
        spec = corpora[name]
        if spec.sample is not None:
            raise TlmError(
                f"{where}: {name} is a sample of {spec.sample.of}; give the files of {spec.sample.of}"
            )
        source = f"local-{name}"
        file = {"uri": f"file://{path}", "to": "files/", "in_place": True}
        sources[source] = parse(SourceSpec, {"files": [file]}, where)
        if not local_files(sources[source]):
            raise TlmError(f"{where}: {path}: {why_no_file(path)}")
        part = {"source": source, "parser": {"format": "mixed", "files": "files/**"}}
        corpora[name] = parse(CorpusSpec, {**spec.model_dump(), "parts": [part]}, where)
    return data.model_copy(update={"sources": sources, "corpora": corpora})


def _files(name: str, folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise TlmError(f"local_tasks.{name}: {folder}: {why_no_file(str(folder))}")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    found: dict[str, Path] = {}
    for split in (*_SPLITS, UNLABELLED):
        matching = [path for path in files if path.name.partition(".")[0].casefold() == split]
        if len(matching) > 1:
            raise TlmError(
                f"local_tasks.{name}: {folder} has two files of {split}: {matching[0].name}, {matching[1].name}"
            )
        if matching:
            found[split] = matching[0]
    if "train" not in found:
        names = [path.name for path in files]
        raise TlmError(
            f"local_tasks.{name}: {folder} has no train.csv, .tsv, .jsonl, .json, .parquet or .xlsx; there are"
            f" {', '.join(names[:5]) or 'no files'}"
        )
    return found


def _task(name: str, spec: TaskSpec, source: str, files: Mapping[str, Path]) -> TaskSpec:
    """The task with its rows from `files`."""
    declared = spec.parser if isinstance(spec.parser, Delimited) else None
    parser = {
        "format": "delimited",
        "splits": {split: files[split].name for split in _SPLITS if split in files},
        "text_pair": "text_pair" if declared is not None and declared.text_pair else None,
        "label_names": declared.label_names if declared is not None else {},
        **({} if declared is None else declared.model_dump(include={"label_separator", "label_columns"})),
    }
    given = "dev" in files and ("test" in files or spec.hidden_test)
    changed = {
        "source": source,
        "parser": parser,
        "unlabelled": {"files": files[UNLABELLED].name} if UNLABELLED in files else None,
        "split": "given" if given else spec.split,
        "hidden_test": spec.hidden_test and "test" not in files,
        # Labels of another format (names of folders, say) need not be those of these files.
        "labels": spec.labels if declared is not None else None,
    }
    return parse(TaskSpec, {**spec.model_dump(), **changed}, f"local_tasks.{name}")

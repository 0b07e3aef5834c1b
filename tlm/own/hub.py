"""Data sets of the Hugging Face Hub as inputs of `tlm new`: their files are downloaded and then read like any others.

Place in the flow: between the arguments of `tlm new` and `tlm.own.findings`. A data set is `OWNER/NAME`, or
`hf://datasets/OWNER/NAME[@REVISION][/folder or glob]`. Its files are stored in data/hub/, by commit.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tlm.errors import TlmError
from tlm.formats.files import glob_pattern
from tlm.formats.registry import by_suffix
from tlm.layout import HUB

FOLDER = Path(HUB)
_ADDRESS = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<path>.+))?")
_NAME = re.compile(r"(?P<name>[\w-][\w.-]*/[\w.-]+)(?P<revision>)(?P<path>)")
_SPLITS = {"train": "task", "validation": "dev", "valid": "dev", "val": "dev", "dev": "dev", "test": "test"}
_TIMEOUT = 10.0  # seconds


def with_hub_files(args: argparse.Namespace) -> None:
    """Replace each data set of the Hub among the arguments by its downloaded files, and print them.

    The train, validation and test files of a data set for --task become --task, --dev and --test, unless these are
    given. Raises TlmError naming the option for a data set that does not exist or cannot be fetched.
    """
    for option in ("task", "dev", "test", "unlabelled", "corpus"):
        given: Sequence[str] = getattr(args, option) or []
        found: list[str] = []
        for each in given:
            found += fetch(each, f"--{option}") if (named := _match(each)) else [each]
            if named and option == "task" and len(given) == 1 and not args.dev and not args.test:
                splits = by_split(found)
                found, args.dev, args.test = splits["task"], splits["dev"] or None, splits["test"] or None
                print(", ".join(f"--{key}: {len(files)} files" for key, files in splits.items() if files))
        if found:
            setattr(args, option, found)


def _match(path: str) -> re.Match[str] | None:
    """The parts of a data set's name; None for anything that may be a path."""
    if path.startswith("hf://"):
        if found := _ADDRESS.fullmatch(path):
            return found
        raise TlmError(
            f"{path}: write hf://datasets/OWNER/NAME, hf://datasets/OWNER/NAME@REVISION/FOLDER, or OWNER/NAME"
        )
    named = _NAME.fullmatch(path)
    is_path = (
        Path(path).exists() or Path(path).parent.exists() or by_suffix(path) or Path(path).suffix == ".zip"
    )
    return None if is_path else named


def fetch(path: str, option: str) -> list[str]:
    """Download the data files of a data set; their paths. Files that are there are not downloaded again."""
    parts = _match(path)
    assert parts is not None
    name = parts["name"]
    where = f"{option} {path}: {'' if path.startswith('hf://') else 'no such file, and '}"
    try:
        info = HfApi().dataset_info(
            name, revision=parts["revision"] or None, files_metadata=True, timeout=_TIMEOUT
        )
        sizes = {each.rfilename: each.size or 0 for each in info.siblings or []}
        chosen = choose(list(sizes), parts["path"], f"{option} {path}", corpus=option == "--corpus")
        total = sum(sizes[each] for each in chosen)
        target = FOLDER / f"{name.replace('/', '--')}@{(info.sha or 'main')[:12]}"
        target.mkdir(parents=True, exist_ok=True)
        if total > 0.9 * shutil.disk_usage(target).free:
            raise TlmError(
                f"{option} {path}: {total / 1e9:.1f} GB do not fit on this disk; name some files, such as"
                f" hf://datasets/{name}/{chosen[0]}"
            )
        print(f"{name}: {len(chosen)} files, {total / 1e6:,.1f} MB, to {target}")
        for each in chosen:
            hf_hub_download(name, each, repo_type="dataset", revision=info.sha, local_dir=target)
    except GatedRepoError:
        raise TlmError(
            f"{option} {path}: accept the conditions of {name} on the Hub, and log in with `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise TlmError(f"{option} {path}: {name} has no revision {parts['revision']!r}") from None
    except RepositoryNotFoundError:
        raise TlmError(
            f"{where}the Hub has no data set {name!r} that is open to you; correct the name, or log in with"
            " `hf auth login`"
        ) from None
    except HfHubHTTPError as error:
        raise TlmError(f"{option} {path}: the Hub answers: {error}") from None
    except (HTTPError, OSError, RuntimeError) as error:
        raise TlmError(
            f"{where}the Hub cannot be reached ({error}); download the data set elsewhere, and name its files"
        ) from None
    return [str(target / each) for each in chosen]


def choose(files: Sequence[str], path: str | None, where: str, *, corpus: bool) -> list[str]:
    """The data files among `files`: in the folder `path` or matching it as a glob; for a corpus also texts.

    Raises TlmError if there are none, and for several folders (configurations) to choose from.
    """
    data = [each for each in files if (form := by_suffix(each)) and (form.columns or corpus)]
    data = sorted(each for each in data if not each.endswith(".md") and "/." not in f"/{each}")
    if path:
        pattern = glob_pattern(path)
        data = [each for each in data if pattern.fullmatch(each) or each.startswith(f"{path.rstrip('/')}/")]
    if not data:
        raise TlmError(
            f"{where}: holds no file of a format that is read; there are {', '.join(files[:8]) or 'none'}"
        )
    folders = sorted({str(PurePosixPath(each).parent) for each in data})
    if not path and len(folders) > 1:
        name = where.rpartition(" ")[2].removeprefix("hf://datasets/")
        raise TlmError(
            f"{where}: has the folders {', '.join(folders[:20])}; choose one, such as hf://datasets/{name}/{folders[0]}"
        )
    return data


def by_split(files: Sequence[str]) -> dict[str, list[str]]:
    """The files for --task, --dev and --test by the split in their names; all for --task if none is of train."""
    found: dict[str, list[str]] = {"task": [], "dev": [], "test": []}
    for file in files:
        words = re.split(r"[^a-z]+", Path(file).name.casefold())
        option = next((_SPLITS[word] for word in words if word in _SPLITS), None)
        if option:
            found[option].append(file)
        else:
            print(f"{file}: of no split; not used (it may serve as --unlabelled)")
    return found if found["task"] else {"task": list(files), "dev": [], "test": []}

"""Sources: files to fetch, pinned by version and digest (config/sources.yaml).

Place in the flow: below `tlm.config.data`, whose tasks and corpora name them; `tlm.sources` fetches them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, field_validator, model_validator

from tlm.config.base import Strict
from tlm.errors import did_you_mean

_PYPI = re.compile(r"pypi://(?P<name>[\w.-]+)/(?P<version>[\w.+!-]+)")
_HF = re.compile(r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[\w.-]+)/(?P<path>.+)")


class FileSpec(Strict):
    """One file to fetch: https://…, file://…, hf://datasets/OWNER/NAME@REVISION/path or pypi://NAME/VERSION.

    The part after `#` is a glob over the members of the archive (zip, whl, tar), which are extracted under
    their own names (`*` stays within a folder, `**` does not); without it the file itself is the result.
    """

    uri: str
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Digest of the file as downloaded. Optional for `file://` only: the manifest then records the digest."""
    first_use: bool = False
    """We know of no published digest: the cache records that of the first download, and later downloads must match it
    (`tlm.sources.fetch`). Better: write it here as `sha256` after the first download."""
    bytes: PositiveInt | None = None
    """Size as downloaded, for the progress lines and as a first check."""
    to: str | None = None
    """Name under which a plain file is stored in the source, by default its own; ending in `/`, the folder in which
    all files of a `file://` address are stored under their own names."""
    in_place: bool = False
    """`file://` only: link the files instead of copying them; for hundreds of gigabytes."""

    @property
    def address(self) -> str:
        """The URI without the member glob."""
        return self.uri.partition("#")[0]

    @property
    def members(self) -> str | None:
        """The member glob, if there is one."""
        return self.uri.partition("#")[2] or None

    @property
    def scheme(self) -> str:
        """`https`, `http` (loopback only), `file`, `hf` or `pypi`."""
        return self.uri.partition("://")[0]

    def pypi(self) -> tuple[str, str]:
        """Name and version of a `pypi://` address."""
        name, version = self.address.removeprefix("pypi://").split("/")
        return name, version

    def url(self) -> str:
        """The https URL of an `https://` or `hf://` address."""
        match = _HF.fullmatch(self.address)
        if match is None:
            return self.address
        repository, revision, path = match["repository"], match["revision"], match["path"]
        return f"https://huggingface.co/datasets/{repository}/resolve/{revision}/{path}"

    @model_validator(mode="after")
    def _known(self) -> FileSpec:
        if self.scheme not in ("https", "http", "file", "hf", "pypi") or "://" not in self.uri:
            raise ValueError(f"{self.uri!r} is none of https://, file://, hf://, pypi://")
        if self.scheme == "http" and not re.match(
            r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/", self.uri
        ):
            raise ValueError(f"{self.uri!r}: plain http can be altered on its way; use https://")
        if self.scheme == "pypi" and not _PYPI.fullmatch(self.address):
            raise ValueError(f"{self.uri!r} is not of the form pypi://NAME/VERSION#members")
        if self.scheme == "hf" and not _HF.fullmatch(self.address):
            raise ValueError(f"{self.uri!r} is not of the form hf://datasets/OWNER/NAME@REVISION/path")
        if self.first_use and (self.sha256 is not None or self.scheme not in ("https", "http", "hf")):
            raise ValueError(f"{self.uri}: first_use is for https:// and hf:// files without a sha256")
        if self.scheme != "file" and self.sha256 is None and not self.first_use:
            raise ValueError(f"{self.uri}: needs its sha256, so that everybody gets the same bytes")
        if self.in_place and (self.scheme != "file" or self.members):
            raise ValueError(f"{self.uri}: in_place is for file:// addresses, and for whole files")
        if self.to is not None and self.to.endswith("/") and self.scheme != "file":
            raise ValueError(f"to: {self.to!r}: a folder is for file:// addresses")
        if self.to is not None and (self.members or self.to.startswith("/") or ".." in Path(self.to).parts):
            raise ValueError(f"to: {self.to!r} must be a relative path, and is for plain files only")
        return self


_SERIES = re.compile(r"\{(\d+)\.\.(\d+)\}")


class SourceSpec(Strict):
    """A set of files that belong together. `{00..40}` in a `uri` declares a file for each number."""

    files: list[FileSpec] = Field(min_length=1)
    licence: str = ""
    homepage: str = ""

    @field_validator("files", mode="before")
    @classmethod
    def _expanded(cls, files: Any) -> Any:
        if not isinstance(files, list):
            return files
        return [each for file in files for each in _series(file)]


def _series(file: Any) -> list[Any]:
    """The files of an entry with a series of numbers; the entry itself if it has no series."""
    match = (
        _SERIES.search(file["uri"]) if isinstance(file, dict) and isinstance(file.get("uri"), str) else None
    )
    if match is None:
        return [file]
    first, last = match[1], match[2]
    if "sha256" in file or int(last) < int(first):
        raise ValueError(f"{file['uri']}: a series counts upwards, and one sha256 cannot hold for its files")
    names = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return [{**file, "uri": file["uri"].replace(match[0], name, 1)} for name in names]


def local_files(spec: SourceSpec) -> list[Path]:
    """The files on this machine that a source copies; if one changes, the source is fetched again."""
    return [path for file in spec.files if file.scheme == "file" for path in local_matches(file)]


def local_matches(file: FileSpec) -> list[Path]:
    """The files that a `file://` address names: itself, a folder's files, or a glob's; sorted, or none.

    Of folders and globs, files whose names begin with a dot are left out, as in a shell.
    """
    root, pattern = local_root(file)
    if pattern is None:
        return [root] if root.is_file() else []
    found = (each for each in root.glob(pattern) if each.is_file())
    return sorted(each for each in found if not _hidden(each.relative_to(root)))


def why_no_file(path: str) -> str:
    """Why a path, folder or glob names no file, and a file with a similar name."""
    wanted = Path(path).expanduser()
    if any(mark in path for mark in "*?["):
        return (
            "the glob matches no file; quote it against the shell, and write `**/` for folders at any depth"
        )
    if wanted.is_dir():
        return "the folder holds no file"
    beside = [str(wanted.parent / each.name) for each in wanted.parent.glob("*")]
    return "no such file" + (did_you_mean(str(wanted), beside) or f" (from {Path.cwd().name}/)")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def local_root(file: FileSpec) -> tuple[Path, str | None]:
    """Folder and glob pattern of a `file://` address, split at the first wild card; a single file has no pattern."""
    path = Path(file.address.removeprefix("file://")).expanduser()
    if path.is_dir():
        return path, "**/*"
    parts = path.parts
    wild = next((number for number, part in enumerate(parts) if any(mark in part for mark in "*?[")), None)
    if wild is None or path.is_file():
        return path, None
    return Path(*parts[:wild]), "/".join(parts[wild:])

"""Artifacts: manifests, digests and atomic writes. No other module writes final names.

An artifact is a directory with a `manifest.json` that holds the schema version, the kind, the sha256 of each
file, counts, the parameters that made it and the digests of its inputs. A directory without a
manifest counts as absent: `staged_directory` builds under a temporary name and moves everything into place at
once, so that a crash leaves nothing half-written under a final name.

Manifests hold no times and no absolute paths: the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.errors import TlmError
from tlm.locks import exclusive

SCHEMA = 1
MANIFEST = "manifest.json"
_CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's content, read in chunks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_json(path: Path) -> Any:
    """The content of a JSON file of an artifact. Raises TlmError if the file is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"not JSON ({error})"
        raise TlmError(f"{path}: {reason}; delete {path.parent} and build it again") from None


@dataclass(frozen=True)
class Manifest:
    """Kind, files, counts, parameters and inputs of an artifact."""

    kind: str
    files: Mapping[str, Mapping[str, Any]]  # name -> {"sha256": hex, "bytes": int}
    counts: Mapping[str, Any]
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]  # role -> digest of that input's manifest
    schema: int = SCHEMA

    @property
    def digest(self) -> str:
        """Hex sha256 that names this artifact: equal digests mean equal content, parameters and inputs."""
        return sha256_bytes(canonical_json(self.as_dict()).encode())

    def as_dict(self) -> dict[str, Any]:
        """The manifest as plain JSON values, keys in reading order."""
        return {
            "schema": self.schema,
            "kind": self.kind,
            "counts": dict(self.counts),
            "parameters": dict(self.parameters),
            "inputs": dict(self.inputs),
            "files": {name: dict(entry) for name, entry in sorted(self.files.items())},
        }


def read_manifest(directory: Path, kind: str | None = None) -> Manifest:
    """Read the manifest of `directory` (or of the manifest file itself).

    Raises TlmError if there is none, if it is not valid, or if it is of another kind or schema.
    """
    path = directory if directory.name == MANIFEST else directory / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(
            raw["kind"], raw["files"], raw["counts"], raw["parameters"], raw["inputs"], raw["schema"]
        )
    except FileNotFoundError:
        raise TlmError(f"{path}: no such artifact; build it with `snakemake {path}`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise TlmError(f"{path}: not a manifest ({error}); delete its directory and build it again") from None
    if manifest.schema != SCHEMA:
        raise TlmError(
            f"{path}: manifest schema {manifest.schema}, this version reads {SCHEMA}; build it again"
        )
    if kind is not None and manifest.kind != kind:
        raise TlmError(f"{path}: holds a {manifest.kind!r} artifact where a {kind!r} is needed")
    return manifest


def verify(directory: Path, kind: str | None = None) -> Manifest:
    """Read the manifest and compare every file with its sha256. Raises TlmError naming the first that differs."""
    manifest = read_manifest(directory, kind)
    root = directory.parent if directory.name == MANIFEST else directory
    for name, entry in manifest.files.items():
        path = root / name
        if not path.is_file():
            raise TlmError(f"{path}: missing, although {MANIFEST} lists it; delete {root} and build it again")
        if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
            raise TlmError(f"{path}: content differs from {MANIFEST}; delete {root} and build it again")
    return manifest


def write_manifest(
    directory: Path,
    kind: str,
    *,
    counts: Mapping[str, Any],
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    unhashed: Collection[str] = (),
) -> Manifest:
    """Hash every file below `directory` and write its manifest, last.

    Top-level files in `unhashed` are left out: they hold times, which differ in every run.
    """
    files = {
        path.relative_to(directory).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != MANIFEST and path.relative_to(directory).as_posix() not in unhashed
    }
    manifest = Manifest(kind, files, counts, parameters, inputs or {})
    write_json(directory / MANIFEST, manifest.as_dict())
    return manifest


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place on success, remove it on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically, as indented JSON with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def partial_path(final: Path) -> Path:
    """The directory in which `staged_directory` builds `final`."""
    return final.parent / f".{final.name}.partial"


@contextmanager
def staged_directory(final: Path, *, resume: bool = False) -> Iterator[Path]:
    """Yield a working directory that becomes `final` on success, replacing what was there.

    With `resume`, the working directory is kept on failure and reused by the next call, so that long
    work can continue from what it had finished; without, it starts empty and is removed on failure.
    Raises TlmError naming the process if another one builds `final`.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    working = partial_path(final)
    with exclusive(final.parent / f".{final.name}.lock", str(final)):
        if working.exists() and not resume:
            shutil.rmtree(working)
        working.mkdir(exist_ok=True)
        try:
            yield working
            if not (working / MANIFEST).is_file():
                raise RuntimeError(f"{final}: staged without a manifest")
            if final.exists():
                shutil.rmtree(final)
            working.replace(final)
        except BaseException:
            if not resume:
                shutil.rmtree(working, ignore_errors=True)
            raise

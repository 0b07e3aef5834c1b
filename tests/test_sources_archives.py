"""Archives are taken apart safely, or refused."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlm.errors import TlmError
from tlm.formats.files import glob_pattern
from tlm.sources import archives
from tlm.sources.archives import extract


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
            archive.addfile(info)
    return path


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_extracts_matching_members(tmp_path, make):
    archive = make(tmp_path / "a", {"d/a.txt": b"1", "d/e/b.txt": b"2", "c.csv": b"3"})
    written = extract(archive, "d/*.txt", tmp_path / "out", "a")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["d/a.txt"]
    assert (tmp_path / "out/d/a.txt").read_bytes() == b"1"
    assert len(extract(archive, "**/*.txt", tmp_path / "all", "a")) == 2


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["../evil.txt", "/abs.txt", "a/../../evil.txt", "a\\..\\evil.txt"])
def test_refuses_names_that_lead_outside(tmp_path, make, name):
    archive = make(tmp_path / "a", {name: b"x"})
    with pytest.raises(TlmError, match="outside its folder"):
        extract(archive, "**", tmp_path / "out", "a")
    assert not list(tmp_path.rglob("evil.txt"))


def test_refuses_links(tmp_path):
    with pytest.raises(TlmError, match="is a link"):
        extract(make_tar(tmp_path / "a", {}, link="l"), "**", tmp_path / "out", "a")
    info = zipfile.ZipInfo("l")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr(info, "/etc/hostname")
    with pytest.raises(TlmError, match="is a link"):
        extract(tmp_path / "z", "**", tmp_path / "out", "a")


def test_refuses_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    archive = make_zip(tmp_path / "a", {"big": b"\0" * 5_000_000})
    with pytest.raises(TlmError, match="200-fold"):
        extract(archive, "**", tmp_path / "out", "a")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_refuses_truncated_archives(tmp_path, make):
    archive = make(tmp_path / "a", {f"f{number}": bytes(range(256)) * 20 for number in range(20)})
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(TlmError, match=r"truncated|broken"):
        extract(archive, "**", tmp_path / "out", "the archive")


def test_refuses_a_glob_that_matches_nothing(tmp_path):
    with pytest.raises(TlmError, match="no member matches 'x/\\*'"):
        extract(make_zip(tmp_path / "a", {"y/a": b""}), "x/*", tmp_path / "out", "a")


@given(st.text("ab/*?.", max_size=12), st.text("ab/.", max_size=12))
def test_a_star_stays_within_its_folder(glob, name):
    matched = glob_pattern(glob).fullmatch(name)
    if matched and "**" not in glob:
        assert glob.count("/") == name.count("/")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_hidden_members_are_left_out_unless_named(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    names = ["x.csv", "__MACOSX/._x.csv", "d/.x.csv"]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "text")
    else:
        with tarfile.open(path, "w") as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 4
                archive.addfile(info, io.BytesIO(b"text"))
    assert extract(path, "**", tmp_path / "all", "a") == [tmp_path / "all/x.csv"]
    assert extract(path, "d/.*", tmp_path / "named", "a") == [tmp_path / "named/d/.x.csv"]

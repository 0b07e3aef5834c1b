"""Two processes never build one folder; a killed build leaves no running script and no lock that a user must remove."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from workflow_runner import copy_project, environment

from tlm.artifacts import staged_directory, write_json, write_manifest
from tlm.errors import TlmError
from tlm.locks import exclusive, killed_holder
from tlm.process_end import disk_error
from tlm.snakemake_adapter import hold_build_lock


def python(code: str, **options) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], **pipes, **options)


def holder(path, then: str = "sys.stdin.read()") -> subprocess.Popen[str]:
    """A process that holds the lock `path` until its input is closed."""
    process = python(
        f"""
        import sys
        from pathlib import Path
        from tlm.locks import exclusive
        with exclusive(Path({str(path)!r}), "it"):
            print("held", flush=True)
            {then}
        """,
        stdin=subprocess.PIPE,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_held_lock_names_its_holder_and_is_free_afterwards(tmp_path):
    path = tmp_path / "x.lock"
    process = holder(path)
    assert killed_holder(path) is None
    with (
        pytest.raises(TlmError, match=rf"the index: process {process.pid} on .* works on it; wait"),
        exclusive(path, "the index"),
    ):
        pass
    process.communicate()
    assert not path.exists()
    with exclusive(path, "the index"):
        assert path.exists()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / "x.lock"
    process = holder(path)
    process.kill()
    process.wait()
    assert killed_holder(path) == str(process.pid)
    with exclusive(path, "it"):
        pass
    assert not path.exists()


def test_many_processes_hold_a_lock_one_after_the_other(tmp_path):
    """Each adds 1 to a counter that it read; a lost update would show that two held the lock at once."""
    (tmp_path / "count").write_text("0")
    code = f"""
        import time
        from pathlib import Path
        from tlm.errors import TlmError
        from tlm.locks import exclusive
        folder, done = Path({str(tmp_path)!r}), 0
        while done < 25:
            try:
                with exclusive(folder / "x.lock", "it"):
                    value = int((folder / "count").read_text())
                    time.sleep(0.001)
                    (folder / "count").write_text(str(value + 1))
                    done += 1
            except TlmError:
                time.sleep(0.001)
        """
    processes = [python(code) for _ in range(4)]
    for process in processes:
        assert process.wait(timeout=120) == 0, process.stderr.read()
    assert (tmp_path / "count").read_text() == "100"


def test_a_second_process_cannot_build_the_same_folder(tmp_path):
    with staged_directory(tmp_path / "index") as working:
        write_json(working / "a.json", {})
        process = python(
            f"""
            from pathlib import Path
            from tlm.artifacts import staged_directory
            with staged_directory(Path({str(tmp_path / "index")!r})):
                pass
            """
        )
        _, errors = process.communicate()
        assert process.returncode and f"process {os.getpid()} on" in errors
        assert (working / "a.json").is_file()
        write_manifest(working, kind="x", parameters={}, inputs={}, counts={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]


def test_two_builds_of_one_folder_exclude_each_other(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    process = holder(tmp_path / ".snakemake/tlm.lock")
    with pytest.raises(TlmError, match=f"a build runs here: process {process.pid}"):
        hold_build_lock(tmp_path)
    process.communicate()


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (OSError(28, "No space left on device", "runs/x"), "runs/x: No space left on device; mend this"),
        (
            RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "No space left",
        ),
        (PermissionError(13, "Permission denied", "config/own"), "config/own: Permission denied"),
        (OSError(30, "Read-only file system"), "Read-only file system; mend"),
        (OSError(2, "No such file", "x"), None),
        (ValueError("28"), None),
    ],
)
def test_errors_of_the_disk_become_one_line(raised, line):
    found = disk_error(raised)
    assert found is None if line is None else line in found


def scripts(folder) -> list[psutil.Process]:
    """The running scripts of a project."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        if "scripts/" in line and process.info["cwd"] == str(folder) and "bash" not in line.split()[0]:
            found.append(process)
    return found


def test_a_killed_build_leaves_no_script_and_continues_without_unlocking(tmp_path):
    """SIGKILL of Snakemake while stage 1 trains; the same command then continues."""
    project = copy_project(tmp_path)
    target = "runs/smoke/toy/tlm/seed1/stage1/manifest.json"
    settings = 'overrides={"stage1": {"budget": {"tokens": 150000}, "checkpoint_every": 20}}'
    command = [sys.executable, "-m", "snakemake", "--cores", "2", target, "--config", "scale=smoke", settings]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    build = subprocess.Popen(command, cwd=project, env=environment(project), **quiet)
    working = project / "runs/smoke/toy/tlm/seed1/.stage1.partial"
    deadline = time.monotonic() + 300
    while not list(working.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(working.glob("checkpoints/step-*")) and scripts(project)
    build.send_signal(signal.SIGKILL)
    build.wait()
    deadline = time.monotonic() + 60
    while scripts(project) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not scripts(project), "the script ended with its build"
    assert working.is_dir() and not (project / target).exists()
    again = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr[-3000:]
    assert f"note: the last build here (process {build.pid}) was killed; its lock is removed" in again.stderr
    assert "stage 1: resumes after step" in again.stdout + again.stderr and (project / target).is_file()
    assert not list(project.glob(".snakemake/tlm.lock"))

"""The daily loop of docs/dvc.md, from a clone to a shared result: its commands are read from the page and run in order.

The scale is `smoke` with one seed and a tenth of its budget. The tests of this file tell one story and share its
folders: they run in order, and each goes on where the one before it stopped.
"""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from compiled import compile_once, share_compiled
from conftest import ROOT

from tlm.artifacts import verify
from tlm.errors import TlmError
from tlm.store.restore import outs, restore

pytestmark = [
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="DVC needs a git checkout"),
]

PAGE = (ROOT / "docs/dvc.md").read_text()
CELL = "results/cells/table2/tlm/toy.json"
TRAINED = {
    "stage1": 1,
    "stage2": 1,
    "evaluate": 1,
    "cell": 8,
    "table": 1,
    "figure": 1,
}  # TLM's run, and its row
OUT = "runs/smoke/toy/tlm/seed1/stage2"


def commands(heading: str) -> list[str]:
    """The commands of one section of the page, at the scale of this test."""
    section = re.search(rf"^### {heading}\n(.*?)(?=^##)", PAGE, re.M | re.S)
    assert section, f"docs/dvc.md has no section {heading!r}"
    lines = "".join(re.findall(r"```sh\n(.*?)```", section[1], re.S)).splitlines()
    lines = [
        line.replace("scales/demo.yaml", "scales/smoke.yaml").replace("bbc-news", "toy") for line in lines
    ]
    return [line.replace("make restore", f"{sys.executable} scripts/restore.py") for line in lines]


def run(command: str, folder: Path, **options) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for name in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{name}_NAME": "Somebody", f"GIT_{name}_EMAIL": "somebody@example.org"}
    return subprocess.run(
        command,
        shell=True,
        executable="/bin/bash",
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        **options,
    )


def do(command: str, folder: Path) -> str:
    """What a command that must succeed has printed."""
    result = run(command, folder)
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout + result.stderr


def follow(heading: str, folder: Path) -> dict[str, str]:
    """Command → what it printed, for all commands of a section, in order."""
    return {f"{number} {command}": do(command, folder) for number, command in enumerate(commands(heading))}


def only(printed: dict[str, str], part: str) -> str:
    found = [text for command, text in printed.items() if part in command]
    assert len(found) == 1, f"{part}: {list(printed)}"
    return found[0]


def jobs(text: str) -> Counter[str]:
    """Rule → jobs, over all calls of Snakemake in `text`."""
    found: Counter[str] = Counter()
    for table in re.findall(r"^Job stats:\njob .*?\n-[- ]*\n(.*?)\n\n", text, re.M | re.S):
        found.update({line.split()[0]: int(line.split()[1]) for line in table.splitlines()})
    del found["total"]
    return found


def planned(text: str) -> Counter[str]:
    """The same of one dry run, which prints its table twice."""
    return Counter({rule: count // 2 for rule, count in jobs(text).items()})


def started(text: str) -> list[str]:
    """The stages that DVC has started."""
    return re.findall(r"^Running stage '(.*)':$", text, re.M)


def nothing_to_do(folder: Path) -> None:
    assert "Nothing to be done" in do("snakemake -n results/table2.csv results/figure1.pdf --cores 2", folder)
    assert "up to date" in do("dvc status", folder)


def contents(folder: Path) -> dict[str, bytes]:
    """What must be equal wherever and however it was built: manifests, and the cells that hold no seconds."""
    paths = [*folder.glob("data/**/manifest.json"), *folder.glob("runs/**/manifest.json")]
    paths += [path for path in folder.glob("results/cells/**/*.json") if path.stem != "seconds"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def row(folder: Path) -> dict[str, str]:
    return next(row for row in csv.DictReader((folder / "results/table2.csv").open()) if row["row"] == "tlm")


class Story:
    """Folders and what is remembered of earlier chapters."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.store = folder / "store"
        self.origin = folder / "origin.git"
        self.shipped: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}

    @property
    def mine(self) -> Path:
        return self.folder / "mine"

    def clone(self, name: str) -> Path:
        do(f"git clone -q {self.origin} {name}", self.folder)
        share_compiled(self.folder / name)
        return self.folder / name


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    """A project of this checkout's files at a tenth of the scale `smoke`, in a repository to clone from."""
    story = Story(tmp_path_factory.mktemp("story"))
    first = story.folder / "first"
    files = do("git ls-files --cached --others --exclude-standard", ROOT).split("\n")
    for name in filter(None, files):
        ours = name == "results/.gitignore" or not name.startswith(("tests/", "results/"))
        if ours and (ROOT / name).is_file():
            (first / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, first / name)
    (first / "dvc.lock").unlink(missing_ok=True)
    change(first / "config/config.yaml", "scale: demo", "scale: smoke")
    change(
        first / "config/config.yaml", r"versioned: .*", "versioned: [results/table2.csv, results/figure1.pdf]"
    )
    scale = first / "config/scales/smoke.yaml"
    for old, new in (
        ("seeds: .*", "seeds: [1]"),
        ("tokens: 60000", "tokens: 6000"),
        ("epochs: 4", "epochs: 1"),
    ):
        change(scale, old, new)
    do(f"{sys.executable} scripts/dvc_yaml.py", first)
    do("git init -q -b main . && git add -A && git commit -q -m Start", first)
    do(f"git clone -q --bare {first} {story.origin}", story.folder)
    compile_once()
    story.clone("mine")
    return story


def change(path: Path, old: str, new: str) -> None:
    text, count = re.subn(old, new, path.read_text(), count=1)
    assert count == 1, f"{path}: no {old}"
    path.write_text(text)


def test_the_versions_are_those_that_the_page_has_tried():
    """A moved version: run this file, read what fails, and only then change the page."""
    for package in ("snakemake", "dvc"):
        assert f"{package} {version(package)}" in PAGE


def test_repro_on_a_clean_clone_builds_table_2_and_a_second_has_nothing_to_do(story):
    printed = follow("Build", story.mine)
    first, second = (text for command, text in printed.items() if command.endswith("dvc repro"))
    built = jobs(first)
    assert built["stage1"] == built["stage2"] == 2 and built["table"] == 1 and built["cell"] == 32
    assert "profiles/default" in first, (
        "the Snakefile stands at the root: another profile would be another checksum size"
    )
    assert started(first)[-2:] == ["tables", "figures"] and started(second) == []
    assert "up to date" in only(printed, "dvc status")
    assert not do("git status --short", story.mine), "all small results are committed, all large ones ignored"
    assert row(story.mine)["source"] == "measured"
    nothing_to_do(story.mine)
    story.shipped = contents(story.mine)


def test_the_cache_is_never_linked_hard(story):
    assert do("dvc config cache.type", story.mine).strip() == "reflink,copy"
    for path in (story.mine / OUT).rglob("*.*"):
        assert path.stat().st_nlink == 1 and not path.is_symlink()


def test_a_changed_rho2_reruns_training_and_later_stages_only(story):
    printed = follow("Try a number", story.mine)
    text = only(printed, "exp run")
    assert started(text) == ["train", "evaluate", "tables", "figures"]
    assert jobs(text) == TRAINED
    assert re.search(r"params.yaml\s+rho2\s+-\s+100", only(printed, "params diff"))
    moved = only(printed, "metrics diff")
    assert "tlm/toy.mlm_loss.json" in moved and "mean" in moved and "plm" not in moved
    page = (story.mine / "dvc_plots/index.html").read_text()
    assert "table2.csv" in page and "figure1.png" in page
    follow("Keep it", story.mine)
    assert not do("git status --short", story.mine)
    nothing_to_do(story.mine)
    story.kept = contents(story.mine)
    moved_bytes = {name for name in story.kept if story.kept[name] != story.shipped[name]}
    assert {f"{OUT}/manifest.json", CELL} <= moved_bytes and all("/tlm/" in name for name in moved_bytes)


def test_a_changed_k_reruns_the_selection_and_later_stages_and_can_be_dropped(story):
    printed = follow("Or drop it", story.mine)
    text = only(printed, "exp run")
    assert started(text) == ["select-toy", "tokens", "train", "evaluate", "tables", "figures"]
    assert jobs(text) == {**TRAINED, "selection": 1, "external_tokens": 1}
    assert not do("git status --short", story.mine)
    assert {name: data for name, data in contents(story.mine).items() if name in story.kept} == story.kept
    nothing_to_do(story.mine)
    assert "small-k" in do("dvc exp list", story.mine)


def test_older_results_and_back_without_a_build(story):
    printed = {}
    table = row(story.mine)
    for number, command in enumerate(commands("Go to another commit and back")):
        printed[f"{number} {command}"] = do(command, story.mine)
        if "snakemake -n" in command:
            assert row(story.mine) != table
            assert {
                name: data for name, data in contents(story.mine).items() if name in story.shipped
            } == story.shipped
            assert (story.mine / "params.yaml").read_text() == (ROOT / "params.yaml").read_text()
    assert "Nothing to be done" in only(printed, "snakemake -n")
    assert row(story.mine) == table
    assert {name: data for name, data in contents(story.mine).items() if name in story.kept} == story.kept
    nothing_to_do(story.mine)


def test_a_build_of_snakemake_and_one_of_dvc_at_once(story):
    change(story.mine / "params.yaml", "rho1:.*", "rho1: 1")
    command = [sys.executable, "-m", "snakemake", "results/table2.csv", "--cores", "1"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(story.mine),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=story.mine, env=environment, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while not list(story.mine.glob(".snakemake/locks/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGSTOP)
        refused = run("dvc repro", story.mine)
        assert refused.returncode != 0
        assert "Directory cannot be locked" in refused.stdout + refused.stderr
        assert "failed to reproduce 'train'" in refused.stderr
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=120)
    # If Snakemake has finished stage 1 before the interrupt, DVC drops the unstored files only with --force.
    do("git checkout -- . && dvc checkout --force && python scripts/restore.py", story.mine)
    nothing_to_do(story.mine)


def test_a_pull_elsewhere_is_a_built_project(story):
    shared = commands("Share it")
    for command in shared:
        do(command.replace("/srv/tlm-store", str(story.store)), story.mine)
    theirs = story.clone("theirs")
    printed = follow("Continue on another machine", theirs)
    assert "Nothing to be done" in only(printed, "snakemake -n") and "up to date" in only(
        printed, "dvc status"
    )
    nothing_to_do(theirs)
    assert {name: data for name, data in contents(theirs).items() if name in story.kept} == story.kept
    assert not (theirs / "data/cache").exists(), "nothing was downloaded"


def test_the_same_change_through_snakemake_alone_gives_the_same_bytes(story):
    theirs = story.folder / "theirs"
    change(theirs / "params.yaml", "rho2: 100", "rho2:")
    text = do("snakemake results/table2.csv results/figure1.pdf --cores 2", theirs)
    assert jobs(text) == TRAINED
    assert contents(theirs) == story.shipped
    # DVC has not stored what Snakemake alone has built, and asks before it drops that.
    assert "--force" in run("git checkout -- . && dvc checkout", theirs).stderr
    do("dvc checkout --force && python scripts/restore.py", theirs)
    nothing_to_do(theirs)


def test_one_flipped_byte_in_any_artifact_is_found_and_named(story):
    theirs = story.folder / "theirs"
    checked = 0
    for out in outs(theirs):
        if out.startswith("results/"):
            continue
        manifest = json.loads((theirs / out / "manifest.json").read_text())
        path = theirs / out / sorted(manifest["files"])[-1]
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(TlmError, match=re.escape(path.name)):
            verify(theirs / out)
        path.write_bytes(data)
        checked += 1
    assert checked > 12
    flipped = [f"{OUT}/model/model.safetensors", f"{OUT}/timing.json", CELL, "results/figure1.png"]
    kept = {name: (theirs / name).read_bytes() for name in flipped}
    for name, data in kept.items():
        (theirs / name).write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    result = run("python scripts/restore.py", theirs)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert all(name in result.stderr for name in flipped), result.stderr
    for name, data in kept.items():
        (theirs / name).write_bytes(data)
    restore((), theirs)


def test_an_old_artifact_does_not_pass_for_a_new_one(story):
    """The trap of a pull: Snakemake has no records, so that a changed number would go unnoticed."""
    hasty = story.clone("hasty")
    do("dvc pull", hasty)
    change(hasty / "params.yaml", "rho2: 100", "rho2: 50")
    refused = run("dvc repro", hasty)
    assert refused.returncode != 0 and "run `make restore`" in refused.stdout + refused.stderr
    result = run("python scripts/restore.py", hasty)
    assert result.returncode == 2 and "params.yaml (rho2 modified)" in result.stderr
    do("git checkout -- params.yaml && python scripts/restore.py", hasty)
    nothing_to_do(hasty)


def test_a_file_that_no_longer_fits_the_configuration_stops_before_training(story):
    hasty = story.folder / "hasty"
    change(hasty / "config/scales/smoke.yaml", "k: 20", "k: 30")  # above every other: a retrieval of its own
    refused = run("dvc repro", hasty)
    printed = refused.stdout + refused.stderr
    assert refused.returncode != 0 and jobs(printed) == {}
    assert (
        "dvc.yaml differs from config/ and the workflow" in printed
        and "python scripts/dvc_yaml.py" in printed
    )


def test_one_cell_is_taken_up_without_the_others(story):
    small = story.clone("small")
    printed = follow("Pull one cell", small)
    assert "Snakemake has records of them" in only(printed, "restore.py results/cells")
    assert (small / OUT / "manifest.json").is_file()
    assert not (small / "runs/smoke/toy/plm").exists() and not (small / "runs/smoke/shared").exists()
    assert "Nothing to be done" in do(f"snakemake -n {CELL} --cores 1", small)
    change(small / "params.yaml", "rho2: 100", "rho2: 50")
    text = do(f"snakemake -n {CELL} --cores 1", small)
    assert planned(text) == {"stage1": 1, "stage2": 1, "evaluate": 1, "cell": 1}


def test_with_snakemakes_own_checksum_limit_a_checkout_would_rerun(story):
    """Why profiles/default sets it: an artifact above the limit counts by its time alone."""
    theirs = story.folder / "theirs"
    profile = theirs / "profiles/default/config.yaml"
    settings = yaml.safe_load(profile.read_text())
    assert settings["max-checksum-file-size"] == "100GB"
    large = theirs / "data/corpora/toy/manifest.json"
    time.sleep(1)
    large.touch()
    nothing_to_do(theirs)
    profile.write_text(yaml.safe_dump({**settings, "max-checksum-file-size": 1}))
    text = do("snakemake -n results/table2.csv --cores 1", theirs)
    assert planned(text)["index"] == 1 and planned(text)["tokenizer"] == 1
    do("git checkout -- profiles", theirs)

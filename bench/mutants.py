"""Does the test suite find faults? Small faults are put into a copy of the project, one at a time.

    python bench/mutants.py [--only NAME …] [--tests-of REVISION]

For each fault of `MUTANTS` the script changes one line of `tlm/` in a copy, runs the tests that should fail, and prints
a row of a Markdown table. `--tests-of` takes the tests from another revision, to compare suites before and after a
change of the tests. A fault counts as caught only if the same tests pass without it. The last line is JSON. The exit
code is 1 if a fault is not caught.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Mutant:
    """One fault: `old` becomes `new` in a file; `tests` are the arguments of pytest that should find it."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    tests_before: str = ""  # with --tests-of, if the test had another name


MUTANTS = (
    Mutant(
        "BM25's idf is smoothed by 1 instead of 0.5",
        "tlm/retrieval/weighting.py",
        "return math.log1p((total - frequency + 0.5) / (frequency + 0.5))",
        "return math.log1p((total - frequency + 1) / (frequency + 1))",
        "tests/test_retrieval_search.py -k small_corpora",
    ),
    Mutant(
        "90 % of the chosen tokens become [MASK] instead of 80 %",
        "tlm/training/masking.py",
        "np.where(fate < 0.8, vocabulary.mask,",
        "np.where(fate < 0.9, vocabulary.mask,",
        "tests/test_training_masking.py",
    ),
    Mutant(
        "stage 1 starts with an external batch",
        "tlm/training/batches.py",
        "-(-step // (int(rho1) + 1))",
        "step // (int(rho1) + 1)",
        "tests/test_training_batches.py",
    ),
    Mutant(
        "a resumed run continues from the older checkpoint",
        "tlm/training/checkpoint.py",
        "return finished[-1] if finished else None",
        "return finished[0] if finished else None",
        "tests/test_training_checkpoint.py",
    ),
    Mutant(
        "the warm-up starts with a learning rate of 0",
        "tlm/training/optimizer.py",
        "return spec.learning_rate * (step + 1) / warmup",
        "return spec.learning_rate * step / warmup",
        "tests/test_training_optimizer.py",
    ),
    Mutant(
        "F1 is that of the first class",
        "tlm/metrics.py",
        "_positive_f1(truth == classes[1], guess == classes[1])",
        "_positive_f1(truth == classes[0], guess == classes[0])",
        "tests/test_metrics.py",
    ),
    Mutant(
        "the trackers' files are written inside the stage's folder",
        "tlm/training/execution.py",
        'str(destination.parent / "tracking")',
        'str(destination / "tracking")',
        "tests/test_training_execution.py -k tensorboard",
    ),
    Mutant(
        "imports inside functions are overlooked",
        "tlm/rules/import_closure.py",
        r'r"^[ \t]*((?:from',
        r'r"^((?:from',
        "tests/test_workflow_imports.py",
        "tests/test_workflow_imports.py -k 'quick_parser or closure'",
    ),
    Mutant(
        "a rule does not depend on the readers of files",
        "tlm/rules/import_closure.py",
        "if path not in found and path not in LEFT_OUT:",
        'if path not in found and path not in LEFT_OUT and "formats" not in path:',
        "tests/test_workflow_planning.py -k jobs_run_under_the_python",
        "tests/test_workflow_imports.py",
    ),
    Mutant(
        "a table depends on the cells of tables whose name starts with its name",
        "tlm/rules/tables.py",
        "keys = [key for key in self.cells if key[0] == wildcards.table]",
        "keys = [key for key in self.cells if key[0].startswith(wildcards.table)]",
        "tests/test_workflow_tables.py -k deleted_cells",
        "tests/test_workflow_tables.py -k deleted_cell",
    ),
    Mutant(
        "a cell depends on the evaluations of the first seed alone",
        "tlm/rules/tables.py",
        "for seed in cell.seeds\n",
        "for seed in cell.seeds[:1]\n",
        "tests/test_workflow.py -k 'inputs or number_in_every_cell'",
    ),
    Mutant(
        "a selection keeps contaminated passages",
        "tlm/retrieval/selectors.py",
        "return np.isin(ids, self.ids, invert=True)",
        "return np.ones(len(ids), bool)",
        "tests/test_workflow.py -k planted",
    ),
)


def pytest(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """Run some tests of the copy until the first failure."""
    command = f"{sys.executable} -m pytest -q -n 0 -x -p no:cacheprovider --durations=0 {arguments}"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )


def copy(folder: Path, tests_of: str | None) -> None:
    """The tracked files of this checkout; with `tests_of`, the tests of that revision."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    changed = subprocess.run(
        ["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, changed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    if tests_of:
        shutil.rmtree(folder / "tests")
        subprocess.run(["git", "checkout", "-q", tests_of, "--", "tests"], cwd=folder, check=True)


def main() -> None:
    """Try the mutants and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], help="parts of the names of the faults to try")
    parser.add_argument("--tests-of", metavar="REVISION", help="use the tests of this revision")
    args = parser.parse_args()
    rows = []
    print("| fault | caught | by | seconds |\n|---|---|---|---|", flush=True)
    for mutant in MUTANTS:
        if args.only and not any(part in mutant.name for part in args.only):
            continue
        with tempfile.TemporaryDirectory(prefix="tlm-mutant-") as name:
            folder = Path(name) / "project"
            copy(folder, args.tests_of)
            tests = mutant.tests_before if args.tests_of and mutant.tests_before else mutant.tests
            sound = pytest(folder, tests)
            path = folder / mutant.file
            text = path.read_text(encoding="utf-8")
            if text.count(mutant.old) != 1:
                sys.exit(f"error: {mutant.file} does not hold this line once: {mutant.old}")
            path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
            start = time.monotonic()
            result = pytest(folder, tests)
            seconds = time.monotonic() - start
        failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", result.stdout, re.M)
        caught = sound.returncode == 0 and result.returncode == 1 and bool(failed)
        reason = failed[0] if caught else (sound if sound.returncode else result).stdout.strip()[-200:]
        rows.append({"fault": mutant.name, "caught": caught, "by": reason, "seconds": round(seconds, 1)})
        mark = "yes" if caught else "**no**"
        print(f"| {mutant.name} | {mark} | {reason} | {seconds:.0f} |", flush=True)
    print(json.dumps(rows))
    sys.exit(not all(row["caught"] for row in rows))


if __name__ == "__main__":
    main()

"""The machine code of retrieval and audit, compiled once for all tests that build.

numba keeps it beside the sources and uses it only if a source has the same time. A fresh clone of the project would
compile it again, which takes longer than the rest of a smoke build.
"""

import fcntl
import functools
import shutil
import tempfile
from pathlib import Path

from retrieval_corpora import write_corpus, write_task

from tlm.audit.stage import audit_task
from tlm.config.retrieval import RetrievalSpec
from tlm.retrieval.index import build_index
from tlm.retrieval.stage import retrieve

ROOT = Path(__file__).resolve().parent.parent


@functools.cache
def compile_once() -> None:
    """Bring this checkout's compiled code up to date; one process at a time, so that the others find it done."""
    spec = RetrievalSpec(k=2)
    with (ROOT / "pyproject.toml").open() as lock, tempfile.TemporaryDirectory() as name:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(name)
        corpus = write_corpus(
            folder / "corpus", ["a boat at anchor", "a pan on the fire", "testword and more"]
        )
        task = write_task(folder / "task", ["a boat", "the pan"])
        build_index(corpus, folder / "index", spec.index, 1)
        retrieve(folder / "index", task, folder / "top", spec, 1)
        audit_task(task, corpus, folder / "audit")


def share_compiled(folder: Path) -> None:
    """Give a clone of this checkout the compiled code, Python's and numba's, of each source that is the same."""
    for source in (ROOT / "tlm").rglob("*.py"):
        there = folder / source.relative_to(ROOT)
        if there.is_file() and there.read_bytes() == source.read_bytes():
            shutil.copystat(source, there)
            (there.parent / "__pycache__").mkdir(exist_ok=True)
            for cached in (source.parent / "__pycache__").glob(f"{source.stem}.*"):
                shutil.copy2(cached, there.parent / "__pycache__")

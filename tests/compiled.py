"""The machine code of retrieval and audit, compiled once for all tests that build.

numba keeps it beside the sources and takes it up only where a source has the same time. A fresh copy of the project
would compile it again, for longer than the rest of a smoke build takes.
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
COMPILED = ("retrieval", "audit")


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
    """Give the project in `folder`, whose sources are this checkout's, what is compiled here."""
    for cached in [path for name in COMPILED for path in (ROOT / "tlm" / name).glob("__pycache__/*.nb?")]:
        source = cached.parent.parent / f"{cached.name.split('.')[0]}.py"
        there = folder / source.relative_to(ROOT)
        if there.is_file() and there.read_bytes() == source.read_bytes():
            shutil.copystat(source, there)
            (there.parent / "__pycache__").mkdir(exist_ok=True)
            shutil.copy2(cached, there.parent / "__pycache__")

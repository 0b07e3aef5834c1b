"""What the data rules cost: downloads, corpora, indexes, retrieval, selections, tokens.

Place in the flow: a job of workflow/rules/data.smk or retrieve.smk and facts → here → the sum. The rates are those
that one core with AVX2 reached when it built Table 2 at the scale demo (`benchmarks/`), where a rule takes seconds:
on other texts they are good to a factor of two or so.
"""

from __future__ import annotations

from dataclasses import replace

from tlm.cost.facts import PASSAGE_BYTES, Facts, file_bytes, total
from tlm.cost.jobs import Job
from tlm.cost.parts import START, TORCH_START, Part
from tlm.plan.selections import Selection

# Seconds for a byte of text.
_CORPUS = 1 / 4.4e6
_INDEX = 1 / 8e6
_AUDIT = 1 / 70e6
_DIGEST = 1 / 4e8  # of what is read where it lies
_TOKENIZER = 1 / 3e6
_TOKENS = 1 / 4.5e6
_RETRIEVE = 5e-9  # seconds for a query and a passage of the corpus, queries of a few hundred words

# Bytes on disk for a byte of text.
_CORPUS_DISK = 0.35
_INDEX_DISK = 0.4
_SELECTION_DISK = 0.45
_TOKENS_DISK = 0.5
_FETCHED_DISK = 2  # the download in the cache, and its members beside it
_RETRIEVED_DISK = 9  # bytes for a query and rank


def fetch(facts: Facts, job: Job) -> Part:
    """data/sources/<source>/manifest.json; how long a download takes is not known."""
    source = job.parts[2]
    size = facts.source_bytes(source)
    missing = total([file_bytes(file) for file in facts.to_download(source)])
    linked = sum(file_bytes(file) or 0 for file in facts.project.data.sources[source].files if file.in_place)
    return Part(
        seconds=START + linked * _DIGEST,
        download_bytes=missing or 0,
        disk_bytes=_FETCHED_DISK * ((size or 0) - linked),
        waits_for="" if missing is not None else "config/sources.yaml says how many `bytes` their files have",
    )


def task(facts: Facts, job: Job) -> Part:
    """data/tasks/<task>/manifest.json: no larger than its source."""
    return Part(disk_bytes=facts.source_bytes(facts.project.data.tasks[job.parts[2]].source) or 0)


def corpus(facts: Facts, job: Job) -> Part:
    """data/corpora/<corpus>/manifest.json."""
    return _of_text(facts.corpus_bytes(job.parts[2]), _corpus(job.parts[2]), START, _CORPUS, _CORPUS_DISK)


def index(facts: Facts, job: Job) -> Part:
    """data/indexes/<corpus>/manifest.json: a merge where `index_share` does the work."""
    return Part() if facts.project.settings.retrieval.shares > 1 else _index(facts, job.parts[2])


def index_share(facts: Facts, job: Job) -> Part:
    """data/shares/index/<corpus>/<number>-of-<shares>/manifest.json."""
    return _shared(facts, _index(facts, job.parts[3]))


def retrieve(facts: Facts, job: Job) -> Part:
    """data/retrieval/<corpus>/<task>/top<k>/manifest.json: a merge where `retrieve_share` does the work."""
    return Part() if facts.project.settings.retrieval.shares > 1 else _retrieve(facts, *job.parts[2:5])


def retrieve_share(facts: Facts, job: Job) -> Part:
    """data/shares/retrieval/<corpus>/<task>/top<k>/<number>-of-<shares>/manifest.json."""
    return _shared(facts, _retrieve(facts, *job.parts[3:6]))


def selection(facts: Facts, job: Job) -> Part:
    """data/selections/<corpus>/<task>/<selection>/manifest.json."""
    chosen = Selection.from_name(job.parts[4], job.parts[2], job.parts[3])
    return _of_text(facts.selection_bytes(chosen), _task(chosen.owner), START, 0.0, _SELECTION_DISK)


def audit(facts: Facts, job: Job) -> Part:
    """data/audits/<task>/<body>/manifest.json: the body is `tasks/…`, `corpora/…` or `selections/…`."""
    kind, *body = job.parts[3:-1]
    if kind == "corpora":
        return _of_text(facts.corpus_bytes(body[0]), _corpus(body[0]), START, _AUDIT, 0.0)
    if kind == "selections":
        chosen = Selection.from_name(body[2], body[0], body[1])
        return _of_text(facts.selection_bytes(chosen), _task(chosen.owner), START, _AUDIT, 0.0)
    return Part(seconds=START)


def external_tokens(facts: Facts, job: Job) -> Part:
    """data/tokens/<tokenizer>/external/<corpus>/<task>/<selection>/manifest.json."""
    chosen = Selection.from_name(job.parts[6], job.parts[4], job.parts[5])
    return _of_text(facts.selection_bytes(chosen), _task(chosen.owner), TORCH_START, _TOKENS, _TOKENS_DISK)


def internal_tokens(facts: Facts, job: Job) -> Part:
    """data/tokens/<tokenizer>/internal/<task>/manifest.json: the texts are few."""
    return Part(seconds=TORCH_START)


def tokenizer(facts: Facts, job: Job) -> Part:
    """data/tokenizers/<tokenizer>/manifest.json."""
    spec, name = facts.tokenizers[job.parts[2]]
    if spec.pretrained is not None:
        return Part(seconds=TORCH_START)
    text = facts.corpus_bytes(name)
    read = min(spec.sample_bytes, text) if text is not None else spec.sample_bytes
    return Part(seconds=TORCH_START + read * _TOKENIZER)


def _of_text(
    size: float | None, waits_for: str, start: float, seconds_per_byte: float, disk_per_byte: float
) -> Part:
    """In proportion to bytes of text, if those are known."""
    if size is None:
        return Part(seconds=start, waits_for=waits_for)
    return Part(seconds=start + size * seconds_per_byte, disk_bytes=size * disk_per_byte)


def _index(facts: Facts, name: str) -> Part:
    return _of_text(facts.corpus_bytes(name), _corpus(name), START, _INDEX, _INDEX_DISK)


def _retrieve(facts: Facts, name: str, owner: str, top: str) -> Part:
    text, queries = facts.corpus_bytes(name), facts.rows(owner, "train")
    if text is None or queries is None:
        return Part(waits_for=_corpus(name) if text is None else _task(owner))
    passages = text / PASSAGE_BYTES
    found = queries * min(int(top.removeprefix("top")), passages)
    return Part(START + queries * passages * _RETRIEVE, disk_bytes=found * _RETRIEVED_DISK)


def _shared(facts: Facts, whole: Part) -> Part:
    """One of the jobs that share the work of an index or a retrieval."""
    jobs = facts.project.settings.retrieval.shares
    return replace(whole, seconds=START + (whole.seconds - START) / jobs, disk_bytes=whole.disk_bytes / jobs)


def _corpus(name: str) -> str:
    return f"data/corpora/{name} is built"


def _task(name: str) -> str:
    return f"data/tasks/{name} is built"

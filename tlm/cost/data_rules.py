"""The cost of the rules that train no encoder: data, index, retrieval, tokens, linear models, export, report.

Place in the flow: a job of one of these rules, and `DataFacts` → here →
`tlm.cost.estimate`. The rates are those of one core with AVX2 that built Table 2 at the scale demo (`benchmarks/`),
where a rule takes seconds: on other texts expect an error of a factor of two.
"""

from __future__ import annotations

from dataclasses import replace

from tlm import layout
from tlm.cost.facts import PASSAGE_BYTES, DataFacts, file_bytes, total
from tlm.cost.job_estimate import START, TORCH_START, JobEstimate
from tlm.cost.jobs import PendingJob
from tlm.plan.selections import Selection

# Seconds for a byte of text.
_CORPUS = 1 / 4.4e6
_INDEX = 1 / 8e6
_AUDIT = 1 / 70e6
_DIGEST = 1 / 4e8  # of a file that is read in place
_TOKENIZER = 1 / 3e6
_TOKENS = 1 / 4.5e6
_LINEAR, _LINEAR_START = 5e-4, 3.0  # seconds for a training text, and to start scikit-learn
_PAGE = 10.0
_RETRIEVE = 5e-9  # seconds for a query and a passage of the corpus, queries of a few hundred words

# Bytes on disk for a byte of text.
_CORPUS_DISK = 0.35
_INDEX_DISK = 0.4
_SELECTION_DISK = 0.45
_TOKENS_DISK = 0.5
_FETCHED_DISK = 2  # the download in the cache, and its unpacked members
_RETRIEVED_DISK = 9  # bytes for a query and rank


def fetch(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A source. The time of the download is not estimated."""
    source = job.names["source"]
    size = facts.source_bytes(source)
    missing = total([file_bytes(file) for file in facts.to_download(source)])
    linked = sum(file_bytes(file) or 0 for file in facts.project.data.sources[source].files if file.in_place)
    return JobEstimate(
        seconds=START + linked * _DIGEST,
        download_bytes=missing or 0,
        disk_bytes=_FETCHED_DISK * ((size or 0) - linked),
        waits_for="" if missing is not None else "config/sources.yaml declares the `bytes` of their files",
    )


def task(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A task: no larger than its source."""
    source = facts.project.data.tasks[job.names["task"]].source
    return JobEstimate(disk_bytes=facts.source_bytes(source) or 0)


def corpus(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A corpus."""
    name = job.names["corpus"]
    return _of_text(facts.corpus_bytes(name), _corpus_built(name), START, _CORPUS, _CORPUS_DISK)


def index(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """An index: only a merge where `index_share` does the work."""
    merges = facts.project.settings.retrieval.shares > 1
    return JobEstimate() if merges else _index(facts, job.names["corpus"])


def index_share(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A share of an index."""
    return _shared(facts, _index(facts, job.names["corpus"]))


def retrieve(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A retrieval: only a merge where `retrieve_share` does the work."""
    return JobEstimate() if facts.project.settings.retrieval.shares > 1 else _retrieve(facts, job)


def retrieve_share(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A share of a retrieval."""
    return _shared(facts, _retrieve(facts, job))


def selection(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A selection."""
    chosen = _selection(job.names)
    return _of_text(facts.selection_bytes(chosen), _task_built(chosen.owner), START, 0.0, _SELECTION_DISK)


def audit(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """The audit of a training split, a corpus or a selection."""
    body = layout.AUDITED.format(body=job.names["body"])
    if names := layout.CORPUS.match(body):
        name = names["corpus"]
        return _of_text(facts.corpus_bytes(name), _corpus_built(name), START, _AUDIT, 0.0)
    if names := layout.SELECTION.match(body):
        chosen = _selection(names)
        return _of_text(facts.selection_bytes(chosen), _task_built(chosen.owner), START, _AUDIT, 0.0)
    return JobEstimate(seconds=START)


def external_tokens(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """The tokens of a selection."""
    chosen = _selection(job.names)
    size = facts.selection_bytes(chosen)
    return _of_text(size, _task_built(chosen.owner), TORCH_START, _TOKENS, _TOKENS_DISK)


def internal_tokens(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """The tokens of a task: the texts are few."""
    return JobEstimate(seconds=TORCH_START)


def linear(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A linear model on counts of words, with its settings chosen on dev."""
    rows = facts.rows(job.names["task"], "train") or 0
    return JobEstimate(seconds=_LINEAR_START + rows * _LINEAR)


def export(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A finished model: calibrated and copied."""
    return JobEstimate(seconds=TORCH_START)


def task_report(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """The page of a task: mostly resampled scores."""
    return JobEstimate(seconds=_PAGE)


def tokenizer(facts: DataFacts, job: PendingJob) -> JobEstimate:
    """A tokenizer."""
    spec, name = facts.tokenizers[job.names["tokenizer"]]
    if spec.pretrained is not None:
        return JobEstimate(seconds=TORCH_START)
    text = facts.corpus_bytes(name)
    read = min(spec.sample_bytes, text) if text is not None else spec.sample_bytes
    return JobEstimate(seconds=TORCH_START + read * _TOKENIZER)


def _of_text(
    size: float | None, waits_for: str, start: float, seconds_per_byte: float, disk_per_byte: float
) -> JobEstimate:
    """In proportion to bytes of text, if those are known."""
    if size is None:
        return JobEstimate(seconds=start, waits_for=waits_for)
    return JobEstimate(seconds=start + size * seconds_per_byte, disk_bytes=size * disk_per_byte)


def _index(facts: DataFacts, name: str) -> JobEstimate:
    return _of_text(facts.corpus_bytes(name), _corpus_built(name), START, _INDEX, _INDEX_DISK)


def _retrieve(facts: DataFacts, job: PendingJob) -> JobEstimate:
    name, owner, k = job.names["corpus"], job.names["task"], int(job.names["k"])
    text, queries = facts.corpus_bytes(name), facts.queries(owner)
    if text is None or queries is None:
        return JobEstimate(waits_for=_corpus_built(name) if text is None else _task_built(owner))
    passages = text / PASSAGE_BYTES
    found = queries * min(k, passages)
    return JobEstimate(START + queries * passages * _RETRIEVE, disk_bytes=found * _RETRIEVED_DISK)


def _shared(facts: DataFacts, whole: JobEstimate) -> JobEstimate:
    """One of the jobs that share the work of an index or a retrieval."""
    jobs = facts.project.settings.retrieval.shares
    return replace(whole, seconds=START + (whole.seconds - START) / jobs, disk_bytes=whole.disk_bytes / jobs)


def _selection(names: dict[str, str]) -> Selection:
    return Selection.from_name(names["selection"], names["corpus"], names["task"])


def _corpus_built(name: str) -> str:
    return f"{layout.CORPUS.format(corpus=name)} is built"


def _task_built(name: str) -> str:
    return f"{layout.TASK.format(task=name)} is built"

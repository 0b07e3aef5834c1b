"""Send passages to an index in requests of bounded size, several at once, each retried until the server has it all.

Place in the flow: `index` finds the missing passages and calls `load_missing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from itertools import count
from threading import Event
from typing import Any

from elasticsearch import Elasticsearch

from tlm.config.elasticsearch import ElasticsearchSpec
from tlm.errors import TlmError
from tlm.progress import Progress
from tlm.retrieval.elastic.client import TRANSIENT, blocked, is_blocked, patiently, pause, reason
from tlm.retrieval.index import Parts, block_texts

RANGE = 16_384  # passages per range; missing passages are counted and sent again by range


def load_missing(
    client: Elasticsearch,
    name: str,
    passages: int,
    parts: Parts,
    missing: list[bool],
    there: int,
    server: ElasticsearchSpec,
) -> None:
    """Send the passages of the missing ranges, in requests of `bulk_bytes`, `bulk_threads` at a time.

    `there`: number of the `passages` in complete ranges. Raises TlmError if the server finally refuses a passage.
    """
    progress = Progress(f"load {name}", passages, "passages")
    progress.skip(there)
    stop = Event()
    with ThreadPoolExecutor(server.bulk_threads) as pool:
        waiting: set[Future[int]] = set()
        try:
            for chunk in _chunks(parts, missing, server.bulk_bytes):
                waiting.add(pool.submit(_send, client, name, chunk, server, stop))
                while len(waiting) > server.bulk_threads:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    progress.add(sum(future.result() for future in done))
            for future in as_completed(waiting):
                progress.add(future.result())
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.finish()


def _chunks(parts: Parts, missing: list[bool], size: int) -> Iterator[list[bytes]]:
    """Requests of at most `size` bytes (or one longer passage), with two lines per passage: the action and the text."""
    lines: list[bytes] = []
    held = 0
    for number, texts in block_texts(parts, missing, RANGE):
        for ordinal, text in enumerate(texts.to_pylist(), number * RANGE):
            action = b'{"create":{"_id":"%d"}}' % ordinal
            source = f'{{"passage":{ordinal},"text":{json.dumps(text, ensure_ascii=False)}}}'.encode()
            if lines and held + len(action) + len(source) + 2 > size:
                yield lines
                lines, held = [], 0
            lines += [action, source]
            held += len(action) + len(source) + 2
    if lines:
        yield lines


def _send(
    client: Elasticsearch, name: str, lines: list[bytes], server: ElasticsearchSpec, stop: Event
) -> int:
    """Create the passages of one request, retrying those refused by a busy server; returns their number.

    A passage that exists already (409) was created by an earlier run, or by a request whose answer was lost.
    """
    action = f"loading {name}"
    left = lines
    for attempt in count(1):
        answer = patiently(action, server, lambda: _bulk(client, name, left), stop=stop)  # noqa: B023
        refused: list[bytes] = []
        trouble = ""
        items = answer.get("items", [])
        if len(items) != len(left) // 2:
            items, refused, trouble = [], left, "half an answer"
        for place, item in enumerate(items):
            status, error = item["create"]["status"], item["create"].get("error", {})
            if status in (200, 201, 409):
                continue
            if is_blocked(error):
                raise TlmError(blocked(action, error))
            if status not in TRANSIENT:
                passage = json.loads(left[2 * place])["create"]["_id"]
                raise TlmError(f"{action}: passage {passage} is refused ({reason(error)})")
            refused += left[2 * place : 2 * place + 2]
            trouble = f"{status} {reason(error)}"
        if not refused:
            return len(lines) // 2
        pause(action, server, attempt, trouble, stop)
        left = refused
    raise AssertionError


def _bulk(client: Elasticsearch, name: str, lines: list[bytes]) -> Mapping[str, Any]:
    kept = "items.create.status,items.create.error"
    return client.bulk(index=name, operations=lines, filter_path=kept).body  # type: ignore[arg-type]

"""The inner loops of search, compiled: scores of a query for 4,096 passages at a time, in cache.

Scores are sums of 32-bit integers, in units of a scale that each query has. An integer sum does not depend on its
order, and its error is bounded: the difference between two passages' integer scores deviates from the difference in
double precision by at most `slack` units and one part in 2^21 (`weighting.Queries`). Passages closer than that are
scored again in double precision (`exact_scores`), so the order is that of double precision.
"""

from __future__ import annotations

import numba
import numpy as np

SLICE = 4096  # passages whose scores fit the first-level cache
GROUP = 64  # passages compared together when results are picked
ABSENT = -1
_UP = np.float32(1 - 2**-24)  # rounds a contribution up, so that none vanishes
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@numba.njit(nogil=True, cache=True)
def expand(documents, counts, norms, begins, ends, dense_row, bounds, local, impacts, dense):  # type: ignore[no-untyped-def]
    """Lay a block's postings out for scoring, slice by slice, as impacts tf / (tf + norm).

    Posting list i is `begins[i]:ends[i]`. With `dense_row[i]` >= 0 it becomes a row of `dense` [slices, rows,
    SLICE]; the others, in order, fill `local` (passage within its slice) and `impacts` from `bounds[slice,
    list]` to `bounds[slice, list + 1]`. The caller passes `bounds` [slices, lists + 1] filled with zeros.
    """
    slices = len(bounds)
    lists = 0
    for i in range(len(begins)):
        if dense_row[i] < 0:
            for posting in range(begins[i], ends[i]):
                bounds[documents[posting] // SLICE, lists] += 1
            lists += 1
    total = 0
    for part in range(slices):
        for i in range(lists + 1):
            size = bounds[part, i]
            bounds[part, i] = total
            total += size
    lists = 0
    for i in range(len(begins)):
        row = dense_row[i]
        current, place = np.int64(-1), 0
        for posting in range(begins[i], ends[i]):
            document = np.int64(documents[posting])
            count = np.float64(counts[posting])
            impact = np.float32(count / (count + norms[document]))
            if row >= 0:
                dense[document // SLICE, row, document % SLICE] = impact
                continue
            if document // SLICE != current:
                current = document // SLICE
                place = bounds[current, lists]
            local[place] = document % SLICE
            impacts[place] = impact
            place += 1
        if row < 0:
            lists += 1


@numba.njit(nogil=True, cache=True)
def _select(keys, size, k):  # type: ignore[no-untyped-def]
    """Reorder keys[:size] so that the k largest come first; returns the k-th largest (quickselect)."""
    low, high, target = 0, size - 1, k - 1
    while low < high:
        a, b, c = keys[low], keys[(low + high) >> 1], keys[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    return keys[target]


@numba.njit(nogil=True, cache=True)
def shrink(keys, size, k, slack):  # type: ignore[no-untyped-def]
    """Keep the keys of keys[:size] that can be among the k best. Returns their number and the least score to keep."""
    if size <= k:
        return size, 1
    kth = np.int64(_select(keys, size, k) >> _HALF)
    least = max(kth - slack - (kth >> 21), 1)
    kept = k
    for i in range(k, size):
        if np.int64(keys[i] >> _HALF) >= least:
            keys[kept] = keys[i]
            kept += 1
    return kept, least


@numba.njit(nogil=True, cache=True)
def _dense_scores(scores, dense, rows, weights, first, last):  # type: ignore[no-untyped-def]
    """scores = Σ weight · row over the frequent terms first..last; four rows a sweep, to spare memory traffic."""
    odd = (last - first) % 4
    i = first
    if odd == 0:
        for v in range(SLICE):
            scores[v] = 0
    elif odd == 1:
        a, wa = dense[rows[i]], weights[i]
        for v in range(SLICE):
            scores[v] = np.int32(wa * a[v] + _UP)
    elif odd == 2:
        a, b, wa, wb = dense[rows[i]], dense[rows[i + 1]], weights[i], weights[i + 1]
        for v in range(SLICE):
            scores[v] = np.int32(wa * a[v] + wb * b[v] + _UP)
    else:
        a, b, c = dense[rows[i]], dense[rows[i + 1]], dense[rows[i + 2]]
        wa, wb, wc = weights[i], weights[i + 1], weights[i + 2]
        for v in range(SLICE):
            scores[v] = np.int32(wa * a[v] + wb * b[v] + wc * c[v] + _UP)
    for i in range(first + odd, last, 4):
        a, b, c, d = dense[rows[i]], dense[rows[i + 1]], dense[rows[i + 2]], dense[rows[i + 3]]
        wa, wb, wc, wd = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        for v in range(SLICE):
            scores[v] = np.int32(scores[v] + np.int32(wa * a[v] + wb * b[v] + wc * c[v] + wd * d[v] + _UP))


@numba.njit(nogil=True, cache=True)
def score_block(  # type: ignore[no-untyped-def]
    batch, starts, lists, weights, slack, k, first, bounds, local, impacts, dense, keys, sizes, least
):
    """Score one block for the queries `batch` and keep the passages that can be among their k best.

    Query q has terms starts[q]:starts[q + 1]; `lists` gives each term's list in this block: its number,
    ABSENT, or -2 - row for a dense one. `keys[q]` collects sizes[q] results of at least least[q], as score ·
    2^32 + (2^32 - 1 - passage), so that larger is better. sizes[q] becomes -1 if the results do not fit, because
    too many scores are too close to be ordered.
    """
    terms = 0
    for q in batch:
        terms += starts[q + 1] - starts[q]
    sparse, sparse_weights = np.empty(terms, np.int32), np.empty(terms, np.float32)
    rows, row_weights = np.empty(terms, np.int32), np.empty(terms, np.float32)
    sparse_ends, row_ends = np.zeros(len(batch) + 1, np.int64), np.zeros(len(batch) + 1, np.int64)
    n_sparse = n_rows = 0
    for i in range(len(batch)):
        for j in range(starts[batch[i]], starts[batch[i] + 1]):
            if lists[j] >= 0:
                sparse[n_sparse], sparse_weights[n_sparse] = lists[j], weights[j]
                n_sparse += 1
            elif lists[j] != ABSENT:
                rows[n_rows], row_weights[n_rows] = -2 - lists[j], weights[j]
                n_rows += 1
        sparse_ends[i + 1], row_ends[i + 1] = n_sparse, n_rows
    capacity = keys.shape[1]
    scores = np.empty(SLICE, np.int32)
    for part in range(len(bounds)):
        begins = bounds[part]
        for i in range(len(batch)):
            q = batch[i]
            size = sizes[q]
            if size < 0:
                continue
            _dense_scores(scores, dense[part], rows, row_weights, row_ends[i], row_ends[i + 1])
            for j in range(sparse_ends[i], sparse_ends[i + 1]):
                term, weight = sparse[j], sparse_weights[j]
                for posting in range(begins[term], begins[term + 1]):
                    scores[local[posting]] += np.int32(weight * impacts[posting] + _UP)
            bar = np.int32(least[q])
            mine = keys[q]
            for group in range(0, SLICE, GROUP):
                hit = np.int32(0)
                for v in range(group, group + GROUP):
                    hit = np.int32(hit | np.int32(scores[v] >= bar))
                if hit == 0:
                    continue
                if size + GROUP > capacity:
                    size, least[q] = shrink(mine, size, k, slack[q])
                    bar = np.int32(least[q])
                    if size + GROUP > capacity:
                        size = -1
                        break
                inverse = _LOW - np.uint64(first + part * SLICE + group)
                for v in range(GROUP):
                    score = scores[group + v]
                    if score >= bar:
                        mine[size] = (np.uint64(score) << _HALF) | (inverse - np.uint64(v))
                        size += 1
            sizes[q] = size


@numba.njit(nogil=True, cache=True)
def add_keys(starts, more, k, slack, keys, sizes):  # type: ignore[no-untyped-def]
    """Add more[starts[q]:starts[q + 1]] to keys[q, :sizes[q]]; sizes[q] = -1 as in `score_block`."""
    for q in range(len(sizes)):
        for i in range(starts[q], starts[q + 1]):
            if sizes[q] == keys.shape[1]:
                sizes[q], _ = shrink(keys[q], sizes[q], k, slack[q])
            if more[i] == 0 or sizes[q] == keys.shape[1]:
                sizes[q] = -1
            if sizes[q] < 0:
                break
            keys[q, sizes[q]] = more[i]
            sizes[q] += 1


@numba.njit(nogil=True, cache=True)
def _close(keys, size, i, slack):  # type: ignore[no-untyped-def]
    """Whether results i and i + 1 (from 0, best first) of keys[:size], ascending, may be in the wrong order."""
    if i + 1 >= size:
        return False
    score = np.int64(keys[size - 1 - i] >> _HALF)
    return score - np.int64(keys[size - 2 - i] >> _HALF) <= slack + (score >> 21)


@numba.njit(nogil=True, cache=True)
def count_unsure(batch, keys, sizes, slack, counts):  # type: ignore[no-untyped-def]
    """counts[q]: results of keys[q, :sizes[q]], ascending, too close to a neighbour for integers to order."""
    for q in batch:
        mine, joined, count = keys[q], False, 0
        for i in range(sizes[q]):
            close = _close(mine, sizes[q], i, slack[q])
            count += close or joined
            joined = close
        counts[q] = count


@numba.njit(nogil=True, cache=True)
def list_unsure(batch, keys, sizes, slack, starts, rank, passages, run):  # type: ignore[no-untyped-def]
    """Rank (from 0), passage and run of close results of each result that `count_unsure` counts, from starts[q] on."""
    for q in batch:
        mine, joined, place, first = keys[q], False, starts[q], starts[q]
        for i in range(sizes[q]):
            close = _close(mine, sizes[q], i, slack[q])
            if close or joined:
                if not joined:
                    first = place
                rank[place], run[place] = i, first
                passages[place] = np.int64(_LOW - (mine[sizes[q] - 1 - i] & _LOW))
                place += 1
            joined = close


@numba.njit(nogil=True, cache=True)
def write_results(batch, keys, sizes, k, scale, starts, passages, scores):  # type: ignore[no-untyped-def]
    """Passages and scores of the queries `batch`, best first, from keys[q, :sizes[q]] ascending."""
    for q in batch:
        for i in range(min(sizes[q], k)):
            key = keys[q, sizes[q] - 1 - i]
            passages[starts[q] + i] = np.int64(_LOW - (key & _LOW))
            scores[starts[q] + i] = np.float64(key >> _HALF) / scale[q]


@numba.njit(nogil=True, cache=True)
def exact_scores(  # type: ignore[no-untyped-def]
    queries, passages, starts, terms, weights, posting_starts, documents, counts, large_at, large, norms, out
):
    """Score passage passages[i] of a block for query queries[i] in double precision, into out[i].

    `terms` gives each query term's number in the block, or ABSENT. The sum is compensated for rounding: the result is
    the double nearest to the exact sum of the contributions, in any order of terms.
    """
    for i in range(len(queries)):
        total = error = 0.0
        for j in range(starts[queries[i]], starts[queries[i] + 1]):
            term = terms[j]
            if term == ABSENT:
                continue
            low, high = posting_starts[term], posting_starts[term + 1]
            end = high
            while low < high:
                middle = (low + high) >> 1
                if documents[middle] < passages[i]:
                    low = middle + 1
                else:
                    high = middle
            if low == end or documents[low] != passages[i]:
                continue
            count = np.float64(counts[low])
            if counts[low] == 255:
                count = np.float64(large[np.searchsorted(large_at, low)])
            part = weights[j] * (count / (count + norms[passages[i]]))
            larger = total + part
            rest = larger - total
            error += (total - (larger - rest)) + (part - rest)
            total = larger
        out[i] = total + error

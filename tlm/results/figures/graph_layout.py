"""Places for the nodes of a small directed graph: layers, few crossings, short edges (Sugiyama et al. 1981).

Place in the flow: used by Figure 2. We lay out the graph ourselves so that no system package (Graphviz) is needed; it
has some twenty nodes, so that plain sweeps are enough. Deterministic: ties are broken by name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression

from tlm.errors import TlmError

Edge = tuple[str, str]
_SWEEPS = 24
_SETTLING = 80
_PULL = (1.0, 2.0, 8.0)  # of an edge between two nodes, a node and a bend, two bends


@dataclass(frozen=True)
class GraphLayout:
    """`at[node]` is (x, layer), x in widths of a node; `routes[edge]` lists the points of an edge."""

    at: dict[str, tuple[float, int]]
    routes: dict[Edge, list[tuple[float, int]]]

    @property
    def layers(self) -> int:
        """Number of layers."""
        return 1 + max(layer for _, layer in self.at.values())


def lay_out(nodes: Collection[str], edges: Collection[Edge], bend: float = 0.35) -> GraphLayout:
    """Layered layout; every edge leads from a lower to a higher layer.

    An edge that skips layers gets a free place in each, `bend` node widths wide. Raises TlmError if
    the graph has a cycle.
    """
    depth = _depths(nodes, edges)
    chains: dict[Edge, list[str]] = {}
    layer = dict(depth)
    for start, end in sorted(edges):
        between = [f"\0{start}\0{end}\0{level}" for level in range(depth[start] + 1, depth[end])]
        layer.update(zip(between, range(depth[start] + 1, depth[end]), strict=True))
        chains[start, end] = [start, *between, end]
    short = [pair for chain in chains.values() for pair in pairwise(chain)]
    rows = _ordered(layer, short)
    width = {name: 1.0 if name in depth else bend for name in layer}
    x = _positions(rows, short, width)
    return GraphLayout(
        at={name: (x[name], depth[name]) for name in sorted(nodes)},
        routes={edge: [(x[name], layer[name]) for name in chain] for edge, chain in chains.items()},
    )


def crossings(rows: Sequence[Sequence[str]], edges: Iterable[Edge]) -> int:
    """Pairs of edges between neighbouring layers that cross."""
    place = {name: (level, index) for level, row in enumerate(rows) for index, name in enumerate(row)}
    total = 0
    by_level: dict[int, list[tuple[int, int]]] = {}
    for start, end in edges:
        by_level.setdefault(place[start][0], []).append((place[start][1], place[end][1]))
    for pairs in by_level.values():
        total += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(pairs) for b in pairs[i + 1 :])
    return total


def _depths(nodes: Collection[str], edges: Collection[Edge]) -> dict[str, int]:
    """Layer of each node: as late as its consumers allow, so that a node is near its use."""
    after: dict[str, list[str]] = {name: [] for name in sorted(nodes)}
    for start, end in sorted(edges):
        after[start].append(end)
    height: dict[str, int] = {}
    open_: set[str] = set()

    def visit(name: str) -> int:
        if name in open_:
            raise TlmError(f"the graph has a cycle through {name!r}; a rule graph must have none")
        if name not in height:
            open_.add(name)
            height[name] = 1 + max((visit(each) for each in after[name]), default=-1)
            open_.discard(name)
        return height[name]

    top = max(visit(name) for name in after)
    return {name: top - height[name] for name in after}


def _ordered(layer: dict[str, int], edges: Sequence[Edge]) -> list[list[str]]:
    """The nodes of each layer from left to right: the best of several sweeps that sort by mean place of neighbours."""
    rows: list[list[str]] = [[] for _ in range(1 + max(layer.values()))]
    for name in sorted(layer):
        rows[layer[name]].append(name)
    before: dict[str, list[str]] = {name: [] for name in layer}
    after: dict[str, list[str]] = {name: [] for name in layer}
    for start, end in edges:
        before[end].append(start)
        after[start].append(end)
    best, fewest = [list(row) for row in rows], crossings(rows, edges)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        levels = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        neighbours = before if down else after
        for level in levels:
            fixed = rows[level - 1 if down else level + 1]
            place = {name: index for index, name in enumerate(fixed)}
            mean = {
                name: np.mean([place[each] for each in neighbours[name]]) if neighbours[name] else index
                for index, name in enumerate(rows[level])
            }
            rows[level] = sorted(rows[level], key=lambda name: (mean[name], name))
        if (count := crossings(rows, edges)) < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _positions(
    rows: Sequence[Sequence[str]], edges: Sequence[Edge], width: dict[str, float]
) -> dict[str, float]:
    """x of every node: as near to the mean of its neighbours as the order and widths allow.

    Within a layer this is a least-squares problem with ordered unknowns: isotonic regression solves it exactly.
    The parts of a long edge have larger weights (Gansner et al. 1993), so that it is straight.
    """
    pulls: dict[str, list[tuple[str, float]]] = {name: [] for row in rows for name in row}
    for start, end in edges:
        weight = _PULL[sum(width[name] < 1 for name in (start, end))]
        pulls[start].append((end, weight))
        pulls[end].append((start, weight))
    offset: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for index, name in enumerate(row):
            at += 0.0 if index == 0 else (width[row[index - 1]] + width[name]) / 2
            offset[name] = at
    x = {name: offset[name] - offset[row[-1]] / 2 for row in rows for name in row}
    for sweep in range(_SETTLING):
        for row in rows if sweep % 2 == 0 else list(reversed(rows)):
            weights = np.array([sum(weight for _, weight in pulls[name]) for name in row])
            wish = [
                sum(weight * x[each] for each, weight in pulls[name]) / total if total else x[name]
                for name, total in zip(row, weights, strict=True)
            ]
            free = isotonic_regression(
                np.array(wish) - [offset[name] for name in row], weights=np.maximum(weights, 1e-3)
            ).x
            x.update({name: float(free[index]) + offset[name] for index, name in enumerate(row)})
    left = min(x.values())
    return {name: round(value - left, 6) for name, value in x.items()}

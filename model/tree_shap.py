"""Exact contributions of features to one row's margin: path-dependent TreeSHAP, compiled.

The game is Lundberg et al.'s (2018, algorithm 2): a feature that is not in the coalition lets a row go both
ways, weighted by the training rows (covers) that went there. With z the product of the cover shares of a
feature's edges on the way to a leaf, and o = 1 where the row takes all of them, else 0, the leaf's part in
feature j is

    leaf · (o_j − z_j) · ∫₀¹ ∏_{i≠j} (t·o_i + (1−t)·z_i) dt

since the Shapley weight s!(d−1−s)!/d! is ∫ t^s (1−t)^(d−1−s) dt. The integrand is a polynomial of a degree
less than the tree's depth, so Gauss–Legendre quadrature with half as many points gives it exactly. Sums over
the leaves below an edge are gathered from the bottom up, as in Linear TreeSHAP (Yu et al. 2022), so the time
goes with nodes · depth. Everything is float64; XGBoost's own `pred_contribs` is float32.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from model.trees import UnsupportedTreesError, documents_of

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Edges:
    """All nodes, tree by tree, parents before children; each but a root stands for the edge that leads to it.

    T trees, N nodes, Q points of quadrature.
    """

    first: Ints
    """Where each tree begins, and N; (T + 1,)."""
    parent: Ints
    """Place of the parent within the tree; (N,)."""
    above: Ints
    """Place within the tree of the nearest edge above that asks the same feature, or 0, the root; (N,)."""
    feature: Ints
    """What the edge asks; 0 at a root; (N,)."""
    bound: Floats
    """A value that is less goes left; (N,)."""
    missing_right: Flags
    """Whether a missing value goes right; (N,)."""
    right: Flags
    """Whether this is the edge to the right; (N,)."""
    step: Doubles
    """By how much the edge multiplies the integrand, where it and `above` are (not taken, not taken),
    (not taken, taken), (taken, taken); (N, 3, Q)."""
    gain: Doubles
    """Weighted (o − z) over the edge's factor, not taken and taken; of a root, taken, 0; (N, 2, Q)."""
    leaf: Doubles
    """Value of a leaf, 0 elsewhere; (N,)."""
    bias: float
    """Margin before the first tree, and the mean of every tree."""
    features: int


def edges_of(booster: Any) -> Edges:
    """The edges of a booster's trees.

    Raises:
        UnsupportedTreesError: they are of a kind that the walk does not know, or no weight of training rows
            reached one of the nodes, so that there is no share to let a row go there by.
    """
    documents = documents_of(booster)
    points, weights = np.polynomial.legendre.leggauss(max(1, (documents.depth + 1) // 2))
    t, weights = (points + 1) / 2, weights / 2
    nodes: list[_Node] = []
    first, bias = [0], float(documents.base)
    for tree in documents.trees:
        own, mean = _nodes_of(tree)
        nodes += own
        bias += mean
        first.append(len(nodes))
    share, earlier = (np.array([[node.share, node.earlier_share] for node in nodes]).T)[:, :, None]
    untaken, taken = (1 - t) * share, t + (1 - t) * share
    untaken_before, taken_before = (1 - t) * earlier, t + (1 - t) * earlier
    return Edges(
        first=np.array(first, np.int32),
        parent=np.array([node.parent for node in nodes], np.int32),
        above=np.array([node.above for node in nodes], np.int32),
        feature=np.array([node.feature for node in nodes], np.int32),
        bound=np.array([node.bound for node in nodes], np.float32),
        missing_right=np.array([node.missing_right for node in nodes], np.bool_),
        right=np.array([node.right for node in nodes], np.bool_),
        step=np.stack([untaken / untaken_before, untaken / taken_before, taken / taken_before], 1),
        gain=np.stack([-share * weights / untaken, (1 - share) * weights / taken], 1),
        leaf=np.array([node.leaf for node in nodes], np.float64),
        bias=bias,
        features=documents.features,
    )


@dataclass(slots=True)
class _Node:
    parent: int = 0
    above: int = 0
    feature: int = 0
    bound: float = 0.0
    missing_right: bool = False
    right: bool = False
    share: float = 1.0
    """Product of the cover shares of the edges up to here that ask the same feature."""
    earlier_share: float = 1.0
    """The same of the edge above."""
    leaf: float = 0.0


def _nodes_of(tree: Any) -> tuple[list[_Node], float]:
    """A tree's nodes, and its mean value by cover."""
    lefts, rights, cover = tree["left_children"], tree["right_children"], tree["sum_hessian"]
    nodes, mean = [_Node()], 0.0
    open_nodes: list[tuple[int, int, dict[int, int], float]] = [(0, 0, {}, 1.0)]
    while open_nodes:
        number, place, asked, reach = open_nodes.pop()
        if lefts[number] < 0:
            nodes[place].leaf = float(np.float32(tree["split_conditions"][number]))
            mean += reach * nodes[place].leaf
            continue
        feature = tree["split_indices"][number]
        above = asked.get(feature, 0)
        earlier_share = nodes[above].share if above else 1.0
        total = cover[lefts[number]] + cover[rights[number]]
        for child, right in ((lefts[number], False), (rights[number], True)):
            if not cover[child] > 0:
                raise UnsupportedTreesError("a node that no training row reached")
            share = cover[child] / total
            open_nodes.append((child, len(nodes), {**asked, feature: len(nodes)}, reach * share))
            nodes.append(
                _Node(
                    parent=place,
                    above=above,
                    feature=feature,
                    bound=tree["split_conditions"][number],
                    missing_right=not tree["default_left"][number],
                    right=right,
                    share=earlier_share * share,
                    earlier_share=earlier_share,
                )
            )
    return nodes, mean


class Shap:
    """Exact contributions, in one thread."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self.bias = edges.bias
        """What the contributions add up from: the margin of a row of which nothing is known."""

    def contributions(self, row: Floats) -> Doubles:
        """How much each feature moves the margin (log odds) of one float32 row; shape (features,).

        With `bias` they add up to the row's margin.
        """
        e = self._edges
        return _contributions(
            row,
            e.first,
            e.parent,
            e.above,
            e.feature,
            e.bound,
            e.missing_right,
            e.right,
            e.step,
            e.gain,
            e.leaf,
        )


def compile_shap() -> None:
    """Run it once, over one root, so that its machine code is in the cache."""
    place, flag = np.zeros(1, np.int32), np.zeros(1, np.bool_)
    edges = Edges(
        first=np.array([0, 1], np.int32), parent=place, above=place, feature=place,
        bound=np.zeros(1, np.float32), missing_right=flag, right=flag, step=np.ones((1, 3, 1)),
        gain=np.zeros((1, 2, 1)), leaf=np.zeros(1), bias=0.0, features=1,
    )  # fmt: skip
    Shap(edges).contributions(np.zeros(1, np.float32))


@njit(cache=True)
def _contributions(
    row: Floats,
    first: Ints,
    parent: Ints,
    above: Ints,
    feature: Ints,
    bound: Floats,
    missing_right: Flags,
    right: Flags,
    step: Doubles,
    gain: Doubles,
    leaf: Doubles,
) -> Doubles:
    widest = 0
    for tree in range(first.size - 1):
        widest = max(widest, first[tree + 1] - first[tree])
    points = step.shape[2]
    moved = np.zeros(row.size, np.float64)
    taken = np.empty(widest, np.int64)
    product = np.empty((widest, points), np.float64)
    below = np.empty((widest, points), np.float64)
    for tree in range(first.size - 1):
        root, size = first[tree], first[tree + 1] - first[tree]
        taken[0] = 1
        product[0, :] = 1.0
        for i in range(1, size):
            n = root + i
            up, value = parent[n], row[feature[n]]
            # No branches: which way a row goes cannot be predicted.
            goes_right = (value >= bound[n]) | (math.isnan(value) & missing_right[n])
            earlier = taken[above[n]]
            taken[i] = earlier & (goes_right == right[n])
            case = earlier + taken[i]
            for q in range(points):
                product[i, q] = product[up, q] * step[n, case, q]
                below[i, q] = leaf[n] * product[i, q]
        for i in range(size - 1, 0, -1):
            n = root + i
            up, before, part = parent[n], above[n], 0.0
            for q in range(points):
                below[up, q] += below[i, q]
                # The edge above counts these leaves too, but the feature's last edge is this one.
                part += below[i, q] * (gain[n, taken[i], q] - gain[root + before, taken[before], q])
            moved[feature[n]] += part
    return moved

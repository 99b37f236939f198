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

A tree's nodes are numbered so that the children of its split i are 2i + 1 and 2i + 2, and 0 is its root; each
but the root stands for the edge that leads to it.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from model.forest.trees import UnsupportedTreesError, documents_of

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

LANES: Final = 4
"""Points of quadrature that are summed at once, as many as a vector register holds."""


@dataclass(frozen=True, slots=True)
class Splits:
    """All splits, tree by tree, parents before children.

    T trees, S splits, Q points of quadrature (a multiple of `LANES`).
    """

    first: Ints
    """Where each tree begins, and S; (T + 1,)."""
    node: Ints
    """The node that is split; (S,)."""
    above: Ints
    """The nearest edge above that asks the same feature, or 0; (S,)."""
    feature: Ints
    """What is asked; (S,)."""
    bound: Floats
    """A value that is less goes left; (S,)."""
    missing_right: Flags
    """Whether a missing value goes right; (S,)."""
    share: Doubles
    """z of the edges to the left and to the right, with those above that ask the same; (S, 2)."""
    leaf: Doubles
    """Values of the children, 0 where they are no leaves; (S, 2)."""
    points: Doubles
    """Of the quadrature, and their weights; (2, Q)."""
    bias: float
    """Margin before the first tree, and the mean of every tree."""


def splits_of(booster: Any) -> Splits:
    """The splits of a booster's trees.

    Raises:
        UnsupportedTreesError: they are of a kind that the walk does not know, or no weight of training rows
            reached one of the nodes, so that there is no share to let a row go there by.
    """
    documents = documents_of(booster)
    splits: list[_Split] = []
    first, bias = [0], float(documents.base)
    for tree in documents.trees:
        own, mean = _splits_of(tree)
        splits += own
        bias += mean
        first.append(len(splits))
    return Splits(
        first=np.array(first, np.int32),
        node=np.array([split.node for split in splits], np.int32),
        above=np.array([split.above for split in splits], np.int32),
        feature=np.array([split.feature for split in splits], np.int32),
        bound=np.array([split.bound for split in splits], np.float32),
        missing_right=np.array([split.missing_right for split in splits], np.bool_),
        share=np.array([split.share for split in splits], np.float64).reshape(-1, 2),
        leaf=np.array([split.leaf for split in splits], np.float64).reshape(-1, 2),
        points=_quadrature(documents.depth),
        bias=bias,
    )


def _quadrature(depth: int) -> Doubles:
    """Points in (0, 1) and weights that integrate a polynomial of a degree less than `depth`; (2, Q)."""
    points, weights = np.polynomial.legendre.leggauss(max(1, (depth + 1) // 2))
    idle = -points.size % LANES  # points that weigh nothing
    return np.stack(
        [np.pad((points + 1) / 2, (0, idle), constant_values=0.5), np.pad(weights / 2, (0, idle))]
    )


@dataclass(slots=True)
class _Split:
    node: int
    above: int
    feature: int
    bound: float
    missing_right: bool
    share: tuple[float, float]
    leaf: list[float]


def _splits_of(tree: Any) -> tuple[list[_Split], float]:
    """A tree's splits, and its mean value by cover."""
    lefts, rights, cover = tree["left_children"], tree["right_children"], tree["sum_hessian"]
    splits: list[_Split] = []
    mean = 0.0
    # Nodes by the tree's own numbers and by ours, the last edge that asked each feature and its z, the share
    # of all rows that get there.
    open_nodes: list[tuple[int, int, dict[int, tuple[int, float]], float]] = [(0, 0, {}, 1.0)]
    while open_nodes:
        number, node, asked, reach = open_nodes.pop()
        if lefts[number] < 0:
            value = float(np.float32(tree["split_conditions"][number]))
            mean += reach * value
            if node:
                splits[(node - 1) // 2].leaf[(node - 1) % 2] = value
            continue
        feature = tree["split_indices"][number]
        above, earlier = asked.get(feature, (0, 1.0))
        children = lefts[number], rights[number]
        if not all(cover[child] > 0 for child in children):
            raise UnsupportedTreesError("a node that no training row reached")
        total = cover[children[0]] + cover[children[1]]
        left, right = (cover[child] / total for child in children)
        split = _Split(
            node=node,
            above=above,
            feature=feature,
            bound=tree["split_conditions"][number],
            missing_right=not tree["default_left"][number],
            share=(earlier * left, earlier * right),
            leaf=[0.0, 0.0],
        )
        for child, own, share in zip(children, (left, right), split.share, strict=True):
            place = 2 * len(splits) + 1 + (child == children[1])
            open_nodes.append((child, place, {**asked, feature: (place, share)}, reach * own))
        splits.append(split)
    return splits, mean


class Shap:
    """Exact contributions, in one thread."""

    def __init__(self, splits: Splits) -> None:
        self._splits = splits
        self.bias = splits.bias
        """What the contributions add up from: the margin of a row of which nothing is known."""

    def contributions(self, row: Floats) -> Doubles:
        """How much each feature moves the margin (log odds) of one float32 row; shape (features,).

        With `bias` they add up to the row's margin.
        """
        s = self._splits
        return _contributions(
            row, s.first, s.node, s.above, s.feature, s.bound, s.missing_right, s.share, s.leaf, s.points
        )


def compile_shap() -> None:
    """Run it once, over one root, so that its machine code is in the cache."""
    place = np.zeros(0, np.int32)
    splits = Splits(
        first=np.zeros(2, np.int32), node=place, above=place, feature=place, bound=np.zeros(0, np.float32),
        missing_right=np.zeros(0, np.bool_), share=np.zeros((0, 2)), leaf=np.zeros((0, 2)),
        points=_quadrature(1), bias=0.0,
    )  # fmt: skip
    Shap(splits).contributions(np.zeros(1, np.float32))


@njit(cache=True, error_model="numpy")
def _contributions(
    row: Floats,
    first: Ints,
    node: Ints,
    above: Ints,
    feature: Ints,
    bound: Floats,
    missing_right: Flags,
    share: Doubles,
    leaf: Doubles,
    points: Doubles,
) -> Doubles:
    widest = 0
    for tree in range(first.size - 1):
        widest = max(widest, 2 * (first[tree + 1] - first[tree]) + 1)
    moved = np.zeros(row.size, np.float64)
    # Of each node of a tree: o, the integrand and, of the edge, its factor's inverse, the weighted
    # (o − z) over its factor, and the integrand times leaf, of all leaves below.
    taken = np.empty(widest, np.float64)
    product = np.empty((widest, LANES), np.float64)
    inverse = np.empty((widest, LANES), np.float64)
    gain = np.empty((widest, LANES), np.float64)
    below = np.empty((widest, LANES), np.float64)
    taken[0] = 1.0
    product[0, :] = 1.0
    inverse[0, :] = 1.0
    gain[0, :] = 0.0
    for lane in range(0, points.shape[1], LANES):
        t, weight = points[0, lane : lane + LANES], points[1, lane : lane + LANES]
        for tree in range(first.size - 1):
            start, size = first[tree], first[tree + 1] - first[tree]
            for i in range(size):
                n = start + i
                value, earlier = row[feature[n]], above[n]
                # No branches: which way a row goes cannot be predicted.
                goes_right = (value >= bound[n]) | (math.isnan(value) & missing_right[n])
                for side in range(2):
                    child, z = 2 * i + 1 + side, share[n, side]
                    o = taken[earlier] * (goes_right == side)
                    taken[child] = o
                    for q in range(LANES):
                        factor = o * t[q] + (1 - t[q]) * z
                        over = 1 / factor
                        # An edge above that asks the same gives way to this one.
                        reached = product[node[n], q] * inverse[earlier, q] * factor
                        inverse[child, q] = over
                        gain[child, q] = (o - z) * weight[q] * over
                        product[child, q] = reached
                        below[child, q] = leaf[n, side] * reached
            for i in range(size - 1, -1, -1):
                n, left, right = start + i, 2 * i + 1, 2 * i + 2
                part = 0.0
                for q in range(LANES):
                    both = below[left, q] + below[right, q]
                    # The edge above counts these leaves too, but the feature's last edge is this one.
                    part += below[left, q] * gain[left, q] + below[right, q] * gain[right, q]
                    part -= both * gain[above[n], q]
                    below[node[n], q] += both
                moved[feature[n]] += part
    return moved

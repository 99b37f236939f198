"""Exact contributions of features to one row's margin: path-dependent TreeSHAP, compiled.

The game is that of Lundberg et al. (2018, algorithm 2): a feature outside the coalition lets a row go
both ways, weighted by the training rows (covers) that went there. Let z be the product of the cover
shares of a feature's edges on the path to a leaf, and o = 1 if the row follows all of these edges, else 0.
The leaf's contribution to feature j is

    leaf · (o_j − z_j) · ∫₀¹ ∏_{i≠j} (t·o_i + (1−t)·z_i) dt

since the Shapley weight s!(d−1−s)!/d! is ∫ t^s (1−t)^(d−1−s) dt. The integrand is a polynomial of a degree
less than the tree's depth, so Gauss–Legendre quadrature with half as many points gives it exactly. Sums over
the leaves below an edge are computed from the bottom up, as in Linear TreeSHAP (Yu et al. 2022), so the time
is proportional to nodes · depth. Everything is float64; XGBoost's own `pred_contribs` is float32.

A tree's nodes are numbered so that the children of its split i are 2i + 1 and 2i + 2, and the root is 0.
Every other node also stands for the edge that leads to it.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from fraudsim.arrays import Doubles, Flags, Floats, Int32s
from model.forest.trees import UnsupportedTreesError, dump_trees

LANES: Final = 4
"""Quadrature points summed at once, as many as a vector register holds."""


@dataclass(frozen=True, slots=True)
class Splits:
    """All splits, tree by tree, parents before children.

    T trees, S splits, Q points of quadrature (a multiple of `LANES`).
    """

    first: Int32s
    """Where each tree begins, and S; (T + 1,)."""
    node: Int32s
    """The node that is split; (S,)."""
    above: Int32s
    """The nearest edge above with the same feature, or 0; (S,)."""
    feature: Int32s
    """(S,)."""
    bound: Floats
    """A smaller value goes left; (S,)."""
    missing_right: Flags
    """Whether a missing value goes right; (S,)."""
    share: Doubles
    """z of the edges to the left and right, including the edges above with the same feature; (S, 2)."""
    leaf: Doubles
    """Values of the children; 0 for a child that is not a leaf; (S, 2)."""
    points: Doubles
    """Quadrature points and their weights; (2, Q)."""
    bias: float
    """Margin before the first tree plus the mean of every tree."""


def splits_of(booster: Any) -> Splits:
    """The splits of a booster's trees.

    Raises:
        UnsupportedTreesError: as `dump_trees`; or no weight of training rows reached one of the nodes, so its
            cover share is undefined.
    """
    dump = dump_trees(booster)
    splits: list[_SplitRow] = []
    first, bias = [0], float(dump.base)
    for tree in dump.trees:
        tree_splits, mean = _tree_splits(tree)
        splits += tree_splits
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
        points=_quadrature(dump.depth),
        bias=bias,
    )


def _quadrature(depth: int) -> Doubles:
    """Points in (0, 1) and weights that integrate a polynomial of a degree less than `depth`; (2, Q)."""
    points, weights = np.polynomial.legendre.leggauss(max(1, (depth + 1) // 2))
    padding = -points.size % LANES  # points of weight 0
    return np.stack(
        [np.pad((points + 1) / 2, (0, padding), constant_values=0.5), np.pad(weights / 2, (0, padding))]
    )


@dataclass(slots=True)
class _SplitRow:
    node: int
    above: int
    feature: int
    bound: float
    missing_right: bool
    share: tuple[float, float]
    leaf: list[float]


@dataclass(slots=True)
class _OpenNode:
    """A node whose subtree is still to be visited."""

    dump_number: int
    node: int
    last_edges: dict[int, tuple[int, float]]
    """By feature: the last edge above with that feature, and its z."""
    reach: float
    """Share of all rows that reach the node."""


def _tree_splits(tree: Any) -> tuple[list[_SplitRow], float]:
    """A tree's splits, and its mean value by cover."""
    lefts, rights, cover = tree["left_children"], tree["right_children"], tree["sum_hessian"]
    splits: list[_SplitRow] = []
    mean = 0.0
    open_nodes = [_OpenNode(0, 0, {}, 1.0)]
    while open_nodes:
        parent = open_nodes.pop()
        number, node = parent.dump_number, parent.node
        if lefts[number] < 0:
            value = float(np.float32(tree["split_conditions"][number]))
            mean += parent.reach * value
            if node:
                splits[(node - 1) // 2].leaf[(node - 1) % 2] = value
            continue
        feature = tree["split_indices"][number]
        above, share_above = parent.last_edges.get(feature, (0, 1.0))
        children = lefts[number], rights[number]
        if not all(cover[child] > 0 for child in children):
            raise UnsupportedTreesError("a node that no training row reached")
        total = cover[children[0]] + cover[children[1]]
        left, right = (cover[child] / total for child in children)
        split = _SplitRow(
            node=node,
            above=above,
            feature=feature,
            bound=tree["split_conditions"][number],
            missing_right=not tree["default_left"][number],
            share=(share_above * left, share_above * right),
            leaf=[0.0, 0.0],
        )
        for child, own_share, share in zip(children, (left, right), split.share, strict=True):
            child_node = 2 * len(splits) + 1 + (child == children[1])
            last_edges = {**parent.last_edges, feature: (child_node, share)}
            open_nodes.append(_OpenNode(child, child_node, last_edges, parent.reach * own_share))
        splits.append(split)
    return splits, mean


class TreeExplainer:
    """Computes exact contributions by compiled code, in one thread."""

    def __init__(self, splits: Splits) -> None:
        self._splits = splits
        self.bias = splits.bias
        """The margin of a row whose features are all unknown; contributions are added to it."""

    def contributions(self, row: Floats) -> Doubles:
        """Contribution of each feature to the margin (log odds) of one float32 row; shape (features,).

        Their sum plus `bias` is the row's margin.
        """
        s = self._splits
        return _contributions(
            row, s.first, s.node, s.above, s.feature, s.bound, s.missing_right, s.share, s.leaf, s.points
        )


def compile_tree_explainer() -> None:
    """Run the explainer once, over one root, so that its machine code is in the cache."""
    empty = np.zeros(0, np.int32)
    splits = Splits(
        first=np.zeros(2, np.int32), node=empty, above=empty, feature=empty, bound=np.zeros(0, np.float32),
        missing_right=np.zeros(0, np.bool_), share=np.zeros((0, 2)), leaf=np.zeros((0, 2)),
        points=_quadrature(1), bias=0.0,
    )  # fmt: skip
    TreeExplainer(splits).contributions(np.zeros(1, np.float32))


@njit(cache=True, error_model="numpy")
def _contributions(
    row: Floats,
    first: Int32s,
    node: Int32s,
    above: Int32s,
    feature: Int32s,
    bound: Floats,
    missing_right: Flags,
    share: Doubles,
    leaf: Doubles,
    points: Doubles,
) -> Doubles:
    widest = 0
    for tree in range(first.size - 1):
        widest = max(widest, 2 * (first[tree + 1] - first[tree]) + 1)
    contributions = np.zeros(row.size, np.float64)
    # For each node of a tree: o; the integrand; of its edge, the inverse of its factor and the weighted
    # (o − z) over its factor; the sum of integrand times leaf over all leaves below.
    follows = np.empty(widest, np.float64)
    product = np.empty((widest, LANES), np.float64)
    inverse = np.empty((widest, LANES), np.float64)
    gain = np.empty((widest, LANES), np.float64)
    below = np.empty((widest, LANES), np.float64)
    follows[0] = 1.0
    product[0, :] = 1.0
    inverse[0, :] = 1.0
    gain[0, :] = 0.0
    for lane in range(0, points.shape[1], LANES):
        t, weight = points[0, lane : lane + LANES], points[1, lane : lane + LANES]
        for tree in range(first.size - 1):
            start, size = first[tree], first[tree + 1] - first[tree]
            for i in range(size):
                n = start + i
                value, edge_above = row[feature[n]], above[n]
                # No branches: the direction of a row cannot be predicted.
                goes_right = (value >= bound[n]) | (math.isnan(value) & missing_right[n])
                for side in range(2):
                    child, z = 2 * i + 1 + side, share[n, side]
                    o = follows[edge_above] * (goes_right == side)
                    follows[child] = o
                    for q in range(LANES):
                        factor = o * t[q] + (1 - t[q]) * z
                        over = 1 / factor
                        # This edge replaces an edge above with the same feature.
                        reached = product[node[n], q] * inverse[edge_above, q] * factor
                        inverse[child, q] = over
                        gain[child, q] = (o - z) * weight[q] * over
                        product[child, q] = reached
                        below[child, q] = leaf[n, side] * reached
            for i in range(size - 1, -1, -1):
                n, left, right = start + i, 2 * i + 1, 2 * i + 2
                part = 0.0
                for q in range(LANES):
                    leaves_below = below[left, q] + below[right, q]
                    # The edge above counted these leaves too, but the feature's last edge is this one.
                    part += below[left, q] * gain[left, q] + below[right, q] * gain[right, q]
                    part -= leaves_below * gain[above[n], q]
                    below[node[n], q] += leaves_below
                contributions[feature[n]] += part
    return contributions

"""XGBoost's trees as arrays, and a compiled predictor over them: the same scores to the bit, but quicker.

Every tree is padded to a perfect one of the same depth, so a row takes `depth` steps without a branch on
whether a leaf is reached; below an early leaf both sides lead to its value. A missing value goes the node's
default way: each row is laid out twice, with NaN as −inf (goes left) and as +inf (goes right), and a node
reads the copy of its default side. The sum is float32 in the order of the trees, as XGBoost's is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numba import njit

from fraudsim.arrays import Floats, Int32s
from fraudsim.errors import FraudsimError

MAX_DEPTH: Final = 10
"""Padding deeper trees would take more memory than the predictor is worth."""


class UnsupportedTreesError(Exception):
    """Trees that compiled code does not support: XGBoost itself must score them."""


@dataclass(frozen=True, slots=True)
class PaddedTrees:
    """T padded trees of depth D; node i has the children 2i+1 (left) and 2i+2."""

    column: Int32s
    """Column of the doubled row that a node reads; (T, 2^D − 1)."""
    bound: Floats
    """A value goes left if it is less; (T, 2^D − 1)."""
    leaf: Floats
    """Leaf values of each tree; (T, 2^D)."""
    base: np.float32
    """Margin before the first tree."""
    features: int


@dataclass(frozen=True, slots=True)
class TreeDump:
    """A booster's trees as its JSON has them."""

    trees: list[dict[str, Any]]
    depth: int
    base: np.float32
    """Margin before the first tree."""
    features: int


def dump_trees(booster: Any) -> TreeDump:
    """The trees of an XGBoost booster.

    Raises:
        UnsupportedTreesError: it is not a binary:logistic gbtree with numeric splits, one target and at most
            `MAX_DEPTH` levels.
    """
    try:
        learner = msgspec.json.decode(bytes(booster.save_raw("json")))["learner"]
    except msgspec.DecodeError:  # XGBoost writes NaN and Infinity, which JSON does not have
        raise FraudsimError(
            "model trees: a leaf or a split is no number, so scores would be none; train the model again"
        ) from None
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    if (objective, kind) != ("binary:logistic", "gbtree"):
        raise UnsupportedTreesError(f"{objective} {kind}")
    parameters = learner["learner_model_param"]
    if int(parameters.get("num_target", 1)) > 1:
        raise UnsupportedTreesError(f"num_target={parameters['num_target']}")
    trees = learner["gradient_booster"]["model"]["trees"]
    if not trees:
        raise UnsupportedTreesError("no trees")
    if any(any(tree["split_type"]) for tree in trees):
        raise UnsupportedTreesError("categorical splits")
    depth = max(_depth(tree) for tree in trees)
    if depth > MAX_DEPTH:
        raise UnsupportedTreesError(f"depth {depth}, at most {MAX_DEPTH}")
    return TreeDump(trees, depth, _margin(parameters["base_score"]), int(parameters["num_feature"]))


def pad_trees(booster: Any) -> PaddedTrees:
    """The trees of an XGBoost booster, padded. Raises UnsupportedTreesError as `dump_trees` does."""
    dump = dump_trees(booster)
    tree_count, inner = len(dump.trees), 2**dump.depth - 1
    column = np.zeros((tree_count, inner), np.int32)
    bound = np.zeros((tree_count, inner), np.float32)
    leaf = np.zeros((tree_count, inner + 1), np.float32)
    for number, tree in enumerate(dump.trees):
        _pad(tree, dump.features, column[number], bound[number], leaf[number])
    return PaddedTrees(column, bound, leaf, dump.base, dump.features)


def _margin(base_score: str) -> np.float32:
    score = np.float32(base_score.strip("[]"))
    return np.float32(-np.log(np.float32(1) / score - np.float32(1)))


def _depth(tree: Mapping[str, Any]) -> int:
    deepest, open_nodes = 0, [(0, 0)]
    while open_nodes:
        node, depth = open_nodes.pop()
        deepest = max(deepest, depth)
        if tree["left_children"][node] >= 0:
            open_nodes += [
                (tree["left_children"][node], depth + 1),
                (tree["right_children"][node], depth + 1),
            ]
    return deepest


def _pad(tree: Mapping[str, Any], features: int, column: Int32s, bound: Floats, leaf: Floats) -> None:
    """Fill the arrays of one tree, and the part below an early leaf with that leaf."""
    inner = len(column)
    dump_nodes = [0] * (inner + len(leaf))  # by number in the perfect tree
    for number, node in enumerate(dump_nodes):
        left, right = tree["left_children"][node], tree["right_children"][node]
        if number >= inner:
            leaf[number - inner] = tree["split_conditions"][node]
            continue
        if left < 0:  # an early leaf
            left = right = node
        else:
            side = 0 if tree["default_left"][node] else features
            column[number] = tree["split_indices"][node] + side
            bound[number] = tree["split_conditions"][node]
        dump_nodes[2 * number + 1], dump_nodes[2 * number + 2] = left, right


class TreePredictor:
    """Scores rows of float32 (n, features) by compiled code, in one thread."""

    def __init__(self, trees: PaddedTrees) -> None:
        self._trees = trees

    def scores(self, rows: Floats) -> Floats:
        """Probability of each row; shape (n,), float32."""
        trees = self._trees
        return _scores(rows, trees.column, trees.bound, trees.leaf, trees.base)


def compile_tree_predictor() -> None:
    """Run the predictor once, over one split, so that its machine code is in the cache."""
    split, zeros = np.zeros((1, 1), np.int32), np.zeros((1, 2), np.float32)
    predictor = TreePredictor(PaddedTrees(split, zeros[:, :1].copy(), zeros, np.float32(0), 1))
    predictor.scores(np.zeros((1, 1), np.float32))


@njit(cache=True)
def _double(row: Floats, doubled: Floats) -> None:
    for i in range(row.size):
        value = row[i]
        if math.isnan(value):
            doubled[i], doubled[row.size + i] = -np.inf, np.inf
        else:
            doubled[i] = doubled[row.size + i] = value


@njit(cache=True)
def _scores(rows: Floats, column: Int32s, bound: Floats, leaf: Floats, base: np.float32) -> Floats:
    tree_count, inner = column.shape
    depth = 0
    while (1 << depth) - 1 < inner:
        depth += 1
    doubled = np.empty(2 * rows.shape[1], np.float32)
    node = np.empty(tree_count, np.int32)
    scores = np.empty(rows.shape[0], np.float32)
    for r in range(rows.shape[0]):
        _double(rows[r], doubled)
        node[:] = 0
        for _ in range(depth):  # all trees step together: their loads do not wait for each other
            for t in range(tree_count):
                i = node[t]
                node[t] = 2 * i + 1 + (doubled[column[t, i]] >= bound[t, i])
        margin = base
        for t in range(tree_count):
            margin += leaf[t, node[t] - inner]
        scores[r] = np.float32(1) / (np.float32(1) + math.exp(-margin))
    return scores

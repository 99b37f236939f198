"""XGBoost's trees as arrays and a compiled walk over them: the same scores to the bit, without its call.

Every tree is padded to a perfect one of the same depth, so that a walk is `depth` steps without a branch on
whether a leaf is reached; below an early leaf both sides lead to its value. A missing value goes the way the
node's default says: each row is laid out twice, NaN as −inf (goes left) and as +inf (goes right), and a node
looks at the copy of its default side. The sum is float32 in the order of the trees, as XGBoost's is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

MAX_DEPTH: Final = 10
"""Deeper trees would pad to more memory than a walk is worth."""


class UnsupportedTreesError(Exception):
    """Trees of a kind that the walk does not know: XGBoost itself must score them."""


@dataclass(frozen=True, slots=True)
class Trees:
    """T padded trees of depth D; node i has the children 2i+1 (left) and 2i+2."""

    column: Ints
    """Column of the doubled row that a node looks at; (T, 2^D − 1)."""
    bound: Floats
    """A value goes left if it is less; (T, 2^D − 1)."""
    leaf: Floats
    """Leaf values of each tree; (T, 2^D)."""
    base: np.float32
    """Margin before the first tree."""
    features: int


@dataclass(frozen=True, slots=True)
class Documents:
    """A booster's trees as it writes them down."""

    trees: list[dict[str, Any]]
    depth: int
    base: np.float32
    """Margin before the first tree."""
    features: int


def documents_of(booster: Any) -> Documents:
    """The trees of an XGBoost booster, as its JSON has them.

    Raises:
        UnsupportedTreesError: it is not a binary:logistic gbtree with numeric splits and one target.
    """
    learner = msgspec.json.decode(bytes(booster.save_raw("json")))["learner"]
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    if (objective, kind) != ("binary:logistic", "gbtree"):
        raise UnsupportedTreesError(f"{objective} {kind}")
    parameters = learner["learner_model_param"]
    if int(parameters.get("num_target", 1)) > 1:
        raise UnsupportedTreesError(f"num_target={parameters['num_target']}")
    documents = learner["gradient_booster"]["model"]["trees"]
    if not documents:
        raise UnsupportedTreesError("no trees")
    if any(any(tree["split_type"]) for tree in documents):
        raise UnsupportedTreesError("categorical splits")
    depth = max(_depth(tree) for tree in documents)
    if depth > MAX_DEPTH:
        raise UnsupportedTreesError(f"depth {depth}, at most {MAX_DEPTH}")
    return Documents(documents, depth, _margin(parameters["base_score"]), int(parameters["num_feature"]))


def trees_of(booster: Any) -> Trees:
    """The trees of an XGBoost booster, padded. Raises UnsupportedTreesError as `documents_of` does."""
    documents = documents_of(booster)
    many, inner = len(documents.trees), 2**documents.depth - 1
    column = np.zeros((many, inner), np.int32)
    bound = np.zeros((many, inner), np.float32)
    leaf = np.zeros((many, inner + 1), np.float32)
    for number, tree in enumerate(documents.trees):
        _pad(tree, documents.features, column[number], bound[number], leaf[number])
    return Trees(column, bound, leaf, documents.base, documents.features)


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


def _pad(tree: Mapping[str, Any], features: int, column: Ints, bound: Floats, leaf: Floats) -> None:
    """Fill one tree's rows, and the part below an early leaf with that leaf."""
    inner = len(column)
    places = [0] * (inner + len(leaf))
    for place, node in enumerate(places):
        left, right = tree["left_children"][node], tree["right_children"][node]
        if place >= inner:
            leaf[place - inner] = tree["split_conditions"][node]
            continue
        if left < 0:  # an early leaf
            left = right = node
        else:
            side = 0 if tree["default_left"][node] else features
            column[place] = tree["split_indices"][node] + side
            bound[place] = tree["split_conditions"][node]
        places[2 * place + 1], places[2 * place + 2] = left, right


class Walk:
    """Scores of rows of float32 (n, features), in one thread."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees

    def scores(self, rows: Floats) -> Floats:
        """Probability of each row; shape (n,), float32."""
        trees = self._trees
        return _scores(rows, trees.column, trees.bound, trees.leaf, trees.base)


def compile_walk() -> None:
    """Run the walk once, over one split, so that its machine code is in the cache."""
    split, zeros = np.zeros((1, 1), np.int32), np.zeros((1, 2), np.float32)
    walk = Walk(Trees(split, zeros[:, :1].copy(), zeros, np.float32(0), 1))
    walk.scores(np.zeros((1, 1), np.float32))


@njit(cache=True)
def _doubled(row: Floats, out: Floats) -> None:
    for i in range(row.size):
        value = row[i]
        if math.isnan(value):
            out[i], out[row.size + i] = -np.inf, np.inf
        else:
            out[i] = out[row.size + i] = value


@njit(cache=True)
def _scores(rows: Floats, column: Ints, bound: Floats, leaf: Floats, base: np.float32) -> Floats:
    many, inner = column.shape
    depth = 0
    while (1 << depth) - 1 < inner:
        depth += 1
    both = np.empty(2 * rows.shape[1], np.float32)
    at = np.empty(many, np.int32)
    scores = np.empty(rows.shape[0], np.float32)
    for r in range(rows.shape[0]):
        _doubled(rows[r], both)
        at[:] = 0
        for _ in range(depth):  # all trees step together: their loads do not wait for each other
            for t in range(many):
                i = at[t]
                at[t] = 2 * i + 1 + (both[column[t, i]] >= bound[t, i])
        margin = base
        for t in range(many):
            margin += leaf[t, at[t] - inner]
        scores[r] = np.float32(1) / (np.float32(1) + math.exp(-margin))
    return scores

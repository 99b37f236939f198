"""One entity's state as a value: empty, folded, read, canonical, to and from the bytes that Redis holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from fraudsim.errors import InvariantError
from stream_features.catalogue.features import (
    COUNTERPARTS,
    DISTINCT_CAP,
    EXACT,
    FEATURES,
    HEAD,
    LABEL_MEMORY,
    LABELS,
    LONGEST,
    RISK_PRIOR,
    RISK_WEIGHT,
    ROWS,
    TAIL_RESOLUTION,
    WINDOWED,
    Feature,
)
from stream_features.kernels import exact as kernel_exact
from stream_features.kernels import tiled as kernel_tiled
from stream_features.kernels.exact import (
    empty_exact,
    fold_exact,
    fold_many_exact,
    read_exact,
    read_many_exact,
)
from stream_features.kernels.tiled import (
    empty_tiled,
    fold_many_tiled,
    fold_tiled,
    read_many_tiled,
    read_tiled,
)

State = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

KIND: Final = {
    entity: int.from_bytes(f"FS{entity[:4].upper():_<4}2".encode(), "little") for entity in WINDOWED
}
"""First word of a blob: the entity, and the version of its layout."""
LEVELS: Final = np.array(list(TAIL_RESOLUTION.items()), dtype=np.int64)
LABEL_REACH: Final = LABEL_MEMORY + HEAD
"""How far behind the oldest `now` a label matters: a read rounds its `now` down."""
NO_LABELS: Final = np.empty((0, 3), np.int64)


class UnreadableStateError(Exception):
    """A blob is not a state of this version. It is never replaced by an empty one."""


class PackedStates(NamedTuple):
    """States of many keys, one after the other."""

    words: State
    sizes: State
    """Words of each, shape (n,); none where it could not be read."""


class RowGroups(NamedTuple):
    """Rows, or labels, of many keys, key by key."""

    rows: Rows
    counts: State
    """How many each key has, shape (n,)."""


class Kernel(Protocol):
    """What is done with the states of one entity."""

    @property
    def width(self) -> int:
        """Words of a transaction's row."""
        ...

    def empty(self) -> State:
        """The state of a key never seen."""
        ...

    def fold(self, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
        """A new state with rows, shape (m, width), and labels, shape (k, 3), added."""
        ...

    def fold_many(
        self, old: PackedStates, rows: RowGroups, labels: RowGroups, horizon_ms: int
    ) -> PackedStates:
        """`fold` for many keys in one call; a state of no words stays so."""
        ...

    def read(self, state: State, row: tuple[int, ...], horizon_ms: int, out: Vector) -> bool:
        """Write the features of the transaction with this row, at its ts, to their places in the vector.

        Returns False where its ts lies beyond the horizon of the state: the features are null.
        """
        ...

    def read_many(
        self,
        stored: PackedStates,
        lacking: RowGroups,
        asked: Rows,
        horizon_ms: int,
        out: Matrix,
        whole: Flags,
    ) -> None:
        """The same for many, from states that lack some rows.

        A line of `asked` is (number of the key, place in `out`, the row), by ascending number. `whole`
        becomes False at the places of those that are null.
        """
        ...

    def words(self, state: State) -> int:
        """How many words a state with this header has; -1 where it is shorter than a header."""
        ...

    def newest(self, state: State) -> int:
        """Event time of the newest transaction, ms; negative where there is none."""
        ...

    def contents(self, state: State) -> dict[str, int]:
        """How many of what the state keeps, for people."""
        ...


@dataclass(frozen=True)
class ExactKernel:
    """Cards and devices: rows."""

    kind: int
    spec: Rows
    bound: int = ROWS
    width: int = kernel_exact.WIDTH

    def empty(self) -> State:
        return empty_exact(self.kind)

    def fold(self, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
        return fold_exact(state, rows, horizon_ms + LONGEST, self.bound)

    def fold_many(
        self, old: PackedStates, rows: RowGroups, labels: RowGroups, horizon_ms: int
    ) -> PackedStates:
        words, sizes = fold_many_exact(*old, *rows, horizon_ms + LONGEST, self.bound)
        return PackedStates(words, sizes)

    def read(self, state: State, row: tuple[int, ...], horizon_ms: int, out: Vector) -> bool:
        return bool(read_exact(state, self.spec, horizon_ms, *row, DISTINCT_CAP, out))

    def read_many(
        self,
        stored: PackedStates,
        lacking: RowGroups,
        asked: Rows,
        horizon_ms: int,
        out: Matrix,
        whole: Flags,
    ) -> None:
        read_many_exact(
            *stored, *lacking, asked, self.kind, self.spec, horizon_ms, horizon_ms + LONGEST, self.bound,
            DISTINCT_CAP, out, whole,
        )  # fmt: skip

    def words(self, state: State) -> int:
        if state.size < kernel_exact.HEADER:
            return -1
        return kernel_exact.HEADER + kernel_exact.WIDTH * int(state[1])

    def newest(self, state: State) -> int:
        return int(state[2])

    def contents(self, state: State) -> dict[str, int]:
        return {"transactions": int(state[1])}


@dataclass(frozen=True)
class TiledKernel:
    """Merchants and addresses: tiles, counterparts, labels."""

    kind: int
    spec: Rows
    label_bound: int = LABELS
    width: int = kernel_tiled.WIDTH

    def empty(self) -> State:
        return empty_tiled(self.kind)

    def fold(self, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
        return fold_tiled(
            state, rows, labels, LEVELS, horizon_ms, DISTINCT_CAP, LABEL_REACH, self.label_bound
        )  # fmt: skip

    def fold_many(
        self, old: PackedStates, rows: RowGroups, labels: RowGroups, horizon_ms: int
    ) -> PackedStates:
        words, sizes = fold_many_tiled(
            *old, *rows, *labels, LEVELS, horizon_ms, DISTINCT_CAP, LABEL_REACH, self.label_bound
        )
        return PackedStates(words, sizes)

    def read(self, state: State, row: tuple[int, ...], horizon_ms: int, out: Vector) -> bool:
        ts, amount, who = row
        return bool(
            read_tiled(
                state, self.spec, horizon_ms, ts, amount, who,
                DISTINCT_CAP, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT, out,
            )
        )  # fmt: skip

    def read_many(
        self,
        stored: PackedStates,
        lacking: RowGroups,
        asked: Rows,
        horizon_ms: int,
        out: Matrix,
        whole: Flags,
    ) -> None:
        read_many_tiled(
            *stored, *lacking, asked, self.kind, self.spec, LEVELS, horizon_ms, DISTINCT_CAP, LABEL_REACH,
            self.label_bound, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT, out, whole,
        )  # fmt: skip

    def words(self, state: State) -> int:
        if state.size < kernel_tiled.HEADER:
            return -1
        tiles, seen, labels = (int(state[i]) for i in (1, 2, 3))
        return (
            kernel_tiled.HEADER
            + kernel_tiled.TILE * tiles
            + kernel_tiled.SEEN * seen
            + kernel_tiled.LABEL * labels
        )

    def newest(self, state: State) -> int:
        return int(state[4])

    def contents(self, state: State) -> dict[str, int]:
        tiles, seen, labels = (int(state[i]) for i in (1, 2, 3))
        return {"tiles": tiles, "counterparts seen": seen, "labels": labels}


def specification(entity: str, features: tuple[Feature, ...] = FEATURES) -> Rows:
    """What a kernel needs of an entity's features, by ascending window; places are those in the vector.

    Shape (n, 4) for an exact entity: code, window ms, which counterpart, place; (n, 5) for a tiled one:
    code, window ms, tail ms, head ms, place.
    """
    rows: list[tuple[int, ...]] = []
    for place, f in enumerate(features):
        if f.entity != entity:
            continue
        if entity in EXACT:
            which = COUNTERPARTS[entity].index(f.counterpart) if f.counterpart else 0
            rows.append((kernel_exact.CODES[f.aggregate], f.window_ms, which, place))
        else:
            rows.append((kernel_tiled.CODES[f.aggregate], f.window_ms, f.tail_ms, f.head_ms, place))
    rows.sort(key=lambda row: row[1])
    return np.array(rows, dtype=np.int64).reshape(len(rows), 4 if entity in EXACT else 5)


KERNELS: Final[dict[str, Kernel]] = {
    entity: (ExactKernel if entity in EXACT else TiledKernel)(KIND[entity], specification(entity))
    for entity in WINDOWED
}
NO_ROWS: Final = {entity: np.empty((0, KERNELS[entity].width), np.int64) for entity in WINDOWED}


def empty(entity: str) -> State:
    """The state of a key never seen."""
    return KERNELS[entity].empty()


def fold(entity: str, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
    """A new state with transactions and labels added; the argument is left as it is."""
    return KERNELS[entity].fold(state, rows, labels, horizon_ms)


def pack(blobs: Sequence[bytes]) -> PackedStates:
    """States as the kernels take many of them; each blob is of whole words."""
    words = np.frombuffer(bytearray().join(blobs), "<i8").astype(np.int64, copy=False)
    return PackedStates(words, np.array([len(blob) // 8 for blob in blobs], np.int64))


def fold_many(
    entity: str, blobs: Sequence[bytes], rows: RowGroups, labels: RowGroups, horizon_ms: int
) -> list[bytes]:
    """`fold` for many keys, from blobs to blobs, in one call of the kernel; an empty blob stays empty."""
    new = KERNELS[entity].fold_many(pack(blobs), rows, labels, horizon_ms)
    whole = to_bytes(new.words)
    ends = (8 * np.cumsum(new.sizes)).tolist()
    return [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def to_bytes(state: State) -> bytes:
    """Little-endian int64, as Redis holds it."""
    return state.astype("<i8", copy=False).tobytes()


def from_bytes(entity: str, blob: bytes) -> State:
    """Read a blob.

    Raises:
        UnreadableStateError: the blob is not a state of this entity and version.
    """
    if len(blob) % 8 or len(blob) < 8:
        raise UnreadableStateError(f"{len(blob)} bytes are not whole words")
    state = np.frombuffer(blob, dtype="<i8").astype(np.int64)
    kind, size = KIND[entity], KERNELS[entity].words(state)
    if state[0] != kind or state.size != size:
        raise UnreadableStateError(f"kind {int(state[0]):#x}, {state.size} words, expected {kind:#x}, {size}")
    return state


EMPTY: Final = {entity: to_bytes(empty(entity)) for entity in WINDOWED}
"""The blob of a key never seen."""
UNREADABLE: Final = b""
"""Stands for a blob that cannot be read: it is left alone, and its features are null."""


def canonical(entity: str, blob: bytes, horizon_ms: int) -> bytes:
    """The one form of a state's content: equal content, equal bytes."""
    state = from_bytes(entity, blob)
    again = fold(entity, state, NO_ROWS[entity], NO_LABELS, horizon_ms)
    if again[0] != state[0]:
        raise InvariantError(f"canonical form changed the kind of a {entity} state")
    return to_bytes(again)


def warm_up_kernel() -> None:
    """Load the compiled kernels: the first call of each function takes some 0.1 s."""
    out = np.empty(len(FEATURES), np.float32)
    for entity, kernel in KERNELS.items():
        some = np.zeros((1, kernel.width), np.int64)
        state = fold(entity, empty(entity), some, NO_LABELS, 0)
        one, none = np.ones(1, np.int64), np.zeros(1, np.int64)
        fold_many(entity, [to_bytes(state)], RowGroups(some, one), RowGroups(NO_LABELS, none), 0)
        kernel.read(state, tuple(some[0].tolist()), 0, out)
        asked = np.zeros((1, 2 + kernel.width), np.int64)
        lacking, whole = RowGroups(some, one), np.ones(1, np.bool_)
        kernel.read_many(pack([to_bytes(state)]), lacking, asked, 0, out[None], whole)

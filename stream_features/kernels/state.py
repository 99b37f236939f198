"""The state of one key as a value: create, fold, read, canonical form, and the bytes that Redis holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.errors import InvariantError
from stream_features.catalogue.features import (
    COUNTERPARTS,
    DISTINCT_CAP,
    EXACT,
    FEATURES,
    HEAD,
    LABEL_MEMORY,
    LONGEST,
    MAX_LABELS,
    MAX_ROWS,
    RISK_PRIOR,
    RISK_WEIGHT,
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

State = Ints
Rows = Ints
Vector = Floats
Matrix = Floats

KIND: Final = {
    entity: int.from_bytes(f"FS{entity[:4].upper():_<4}2".encode(), "little") for entity in WINDOWED
}
"""First word of a blob: the entity, and the version of its layout."""
LEVELS: Final = np.array(list(TAIL_RESOLUTION.items()), dtype=np.int64)
LABEL_REACH: Final = LABEL_MEMORY + HEAD
"""How far behind the oldest `now` a label matters: a read rounds its `now` down to HEAD."""
NO_LABELS: Final = np.empty((0, 3), np.int64)


class UnreadableStateError(Exception):
    """A blob is not a state of this entity and version. It is never replaced by an empty one."""


class PackedStates(NamedTuple):
    """States of many keys, one after the other."""

    words: State
    sizes: State
    """Words of each state, shape (n,); 0 for one that could not be read."""


class KeyedRows(NamedTuple):
    """Rows, or labels, of many keys, one key after the other."""

    rows: Rows
    counts: State
    """Rows of each key, shape (n,)."""


class Kernel(Protocol):
    """The operations on the states of one entity. `testing.contracts.aggregate` checks an implementation."""

    @property
    def width(self) -> int:
        """Words of a transaction's row: ts first, amount second."""
        ...

    def empty(self) -> State:
        """The state of a key never seen."""
        ...

    def fold(self, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
        """A new state with rows, shape (m, width), and labels, shape (k, 3), added."""
        ...

    def fold_many(
        self, old: PackedStates, rows: KeyedRows, labels: KeyedRows, horizon_ms: int
    ) -> PackedStates:
        """`fold` for many keys in one call; an empty state stays empty."""
        ...

    def read(self, state: State, row: tuple[int, ...], horizon_ms: int, out: Vector) -> bool:
        """Write the features of the transaction with this row, at its ts, to their indexes in `out`.

        Returns False, and writes nulls, where its ts lies beyond the horizon of the state.
        """
        ...

    def read_many(
        self,
        stored: PackedStates,
        missing_rows: KeyedRows,
        requests: Rows,
        horizon_ms: int,
        out: Matrix,
        complete: Flags,
    ) -> None:
        """`read` for many transactions, from stored states that still lack `missing_rows`.

        Args:
            requests: shape (n, 2 + width), (key number, row of `out`, the transaction's row), by key number.
            out: shape (m, features).
            complete: shape (m,); set to False at a request's row of `out` where its features are null.
        """
        ...

    def words(self, state: State) -> int:
        """Words that a state with this header should have; -1 where it is shorter than a header."""
        ...

    def newest(self, state: State) -> int:
        """Event time of the newest transaction, ms; negative where there is none."""
        ...

    def contents(self, state: State) -> dict[str, int]:
        """Numbers of what the state holds, by kind, for people."""
        ...


@dataclass(frozen=True)
class ExactKernel:
    """Cards and devices: the state keeps rows."""

    kind: int
    spec: Rows
    bound: int = MAX_ROWS
    width: int = kernel_exact.WIDTH

    def empty(self) -> State:
        return empty_exact(self.kind)

    def fold(self, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
        return fold_exact(state, rows, horizon_ms + LONGEST, self.bound)

    def fold_many(
        self, old: PackedStates, rows: KeyedRows, labels: KeyedRows, horizon_ms: int
    ) -> PackedStates:
        words, sizes = fold_many_exact(*old, *rows, horizon_ms + LONGEST, self.bound)
        return PackedStates(words, sizes)

    def read(self, state: State, row: tuple[int, ...], horizon_ms: int, out: Vector) -> bool:
        return bool(read_exact(state, self.spec, horizon_ms, *row, DISTINCT_CAP, out))

    def read_many(
        self,
        stored: PackedStates,
        missing_rows: KeyedRows,
        requests: Rows,
        horizon_ms: int,
        out: Matrix,
        complete: Flags,
    ) -> None:
        read_many_exact(
            *stored, *missing_rows, requests, self.kind, self.spec, horizon_ms, horizon_ms + LONGEST,
            self.bound, DISTINCT_CAP, out, complete,
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
    """Merchants and addresses: the state keeps tiles, sightings of counterparts, and labels."""

    kind: int
    spec: Rows
    label_bound: int = MAX_LABELS
    width: int = kernel_tiled.WIDTH

    def empty(self) -> State:
        return empty_tiled(self.kind)

    def fold(self, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
        return fold_tiled(
            state, rows, labels, LEVELS, horizon_ms, DISTINCT_CAP, LABEL_REACH, self.label_bound
        )  # fmt: skip

    def fold_many(
        self, old: PackedStates, rows: KeyedRows, labels: KeyedRows, horizon_ms: int
    ) -> PackedStates:
        words, sizes = fold_many_tiled(
            *old, *rows, *labels, LEVELS, horizon_ms, DISTINCT_CAP, LABEL_REACH, self.label_bound
        )
        return PackedStates(words, sizes)

    def read(self, state: State, row: tuple[int, ...], horizon_ms: int, out: Vector) -> bool:
        ts, amount, counterpart = row
        return bool(
            read_tiled(
                state, self.spec, horizon_ms, ts, amount, counterpart,
                DISTINCT_CAP, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT, out,
            )
        )  # fmt: skip

    def read_many(
        self,
        stored: PackedStates,
        missing_rows: KeyedRows,
        requests: Rows,
        horizon_ms: int,
        out: Matrix,
        complete: Flags,
    ) -> None:
        read_many_tiled(
            *stored, *missing_rows, requests, self.kind, self.spec, LEVELS, horizon_ms, DISTINCT_CAP,
            LABEL_REACH, self.label_bound, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT, out, complete,
        )  # fmt: skip

    def words(self, state: State) -> int:
        if state.size < kernel_tiled.HEADER:
            return -1
        tiles, seen, labels = (int(state[i]) for i in (1, 2, 3))
        return (
            kernel_tiled.HEADER
            + kernel_tiled.TILE * tiles
            + kernel_tiled.SIGHTING * seen
            + kernel_tiled.LABEL * labels
        )

    def newest(self, state: State) -> int:
        return int(state[4])

    def contents(self, state: State) -> dict[str, int]:
        tiles, seen, labels = (int(state[i]) for i in (1, 2, 3))
        return {"tiles": tiles, "counterparts seen": seen, "labels": labels}


def specification(entity: str, features: tuple[Feature, ...] = FEATURES) -> Rows:
    """An entity's features as its kernel takes them, by ascending window.

    Shape (n, 4) for an exact entity: (code, window ms, counterpart index, index in the vector); (n, 5) for a
    tiled one: (code, window ms, tail ms, head ms, index in the vector).
    """
    rows: list[tuple[int, ...]] = []
    for index, f in enumerate(features):
        if f.entity != entity:
            continue
        if entity in EXACT:
            counterpart_index = COUNTERPARTS[entity].index(f.counterpart) if f.counterpart else 0
            rows.append((kernel_exact.CODES[f.aggregate], f.window_ms, counterpart_index, index))
        else:
            rows.append((kernel_tiled.CODES[f.aggregate], f.window_ms, f.tail_ms, f.head_ms, index))
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
    """A new state with transactions and labels added; the old one is unchanged."""
    return KERNELS[entity].fold(state, rows, labels, horizon_ms)


def pack(blobs: Sequence[bytes]) -> PackedStates:
    """Many states as the kernels take them; each blob must consist of whole words."""
    words = np.frombuffer(bytearray().join(blobs), "<i8").astype(np.int64, copy=False)
    return PackedStates(words, np.array([len(blob) // 8 for blob in blobs], np.int64))


def fold_many(
    entity: str, blobs: Sequence[bytes], rows: KeyedRows, labels: KeyedRows, horizon_ms: int
) -> list[bytes]:
    """`fold` for many keys, from blobs to blobs, in one call of the kernel; an empty blob stays empty."""
    folded = KERNELS[entity].fold_many(pack(blobs), rows, labels, horizon_ms)
    all_bytes = to_bytes(folded.words)
    ends = (8 * np.cumsum(folded.sizes)).tolist()
    return [all_bytes[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


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
"""Marks a blob that cannot be read: it is never overwritten, and its features are null."""


def canonical(entity: str, blob: bytes, horizon_ms: int) -> bytes:
    """The canonical form of a state: equal content, equal bytes."""
    state = from_bytes(entity, blob)
    refolded = fold(entity, state, NO_ROWS[entity], NO_LABELS, horizon_ms)
    if refolded[0] != state[0]:
        raise InvariantError(f"canonical form changed the kind of a {entity} state")
    return to_bytes(refolded)


def warm_up_kernel() -> None:
    """Load the compiled kernels: the first call of each function takes some 0.1 s."""
    out = np.empty(len(FEATURES), np.float32)
    for entity, kernel in KERNELS.items():
        row = np.zeros((1, kernel.width), np.int64)
        state = fold(entity, empty(entity), row, NO_LABELS, 0)
        one, none = np.ones(1, np.int64), np.zeros(1, np.int64)
        fold_many(entity, [to_bytes(state)], KeyedRows(row, one), KeyedRows(NO_LABELS, none), 0)
        kernel.read(state, tuple(row[0].tolist()), 0, out)
        requests = np.zeros((1, 2 + kernel.width), np.int64)
        missing_rows, complete = KeyedRows(row, one), np.ones(1, np.bool_)
        kernel.read_many(pack([to_bytes(state)]), missing_rows, requests, 0, out[None], complete)

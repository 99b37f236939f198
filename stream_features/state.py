"""One entity's state as a value: empty, folded, canonical, to and from the bytes that Redis holds."""

from typing import Final

import numpy as np
import numpy.typing as npt

from fraudsim.errors import InvariantError
from stream_features import kernel_card, kernel_merchant
from stream_features.kernel_card import empty_card, fold_card
from stream_features.kernel_merchant import empty_merchant, fold_merchant

State = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

NO_ROWS: Final = {
    "card": np.empty((0, 4), np.int64),
    "merchant": np.empty((0, 2), np.int64),
}
NO_LABELS: Final = np.empty((0, 3), np.int64)
LABELLED: Final = ("merchant",)
"""The entities whose state holds labels too."""


class UnreadableStateError(Exception):
    """A blob is not a state of this version. It is never replaced by an empty one."""


def empty(entity: str) -> State:
    """The state of a key never seen."""
    return empty_card() if entity == "card" else empty_merchant()


def fold(entity: str, state: State, rows: Rows, labels: Rows, horizon_ms: int) -> State:
    """A new state with transactions and labels added; the argument is left as it is."""
    if entity == "card":
        return fold_card(state, rows, horizon_ms)
    return fold_merchant(state, rows, labels, horizon_ms)


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
    if entity == "card":
        kind, header = kernel_card.CARD_KIND, kernel_card.HEADER
        size = header + kernel_card.WIDTH * int(state[1]) if state.size >= header else -1
    else:
        kind, header = kernel_merchant.MERCHANT_KIND, kernel_merchant.HEADER
        size = -1
        if state.size >= header:
            size = header + kernel_merchant.TILE * int(state[1]) + kernel_merchant.LABEL * int(state[2])
    if state[0] != kind or state.size != size:
        raise UnreadableStateError(f"kind {int(state[0]):#x}, {state.size} words, expected {kind:#x}, {size}")
    return state


def canonical(entity: str, blob: bytes, horizon_ms: int) -> bytes:
    """The one form of a state's content: equal content, equal bytes."""
    state = from_bytes(entity, blob)
    again = fold(entity, state, NO_ROWS[entity], NO_LABELS, horizon_ms)
    if again[0] != state[0]:
        raise InvariantError(f"canonical form changed the kind of a {entity} state")
    return to_bytes(again)


def warm_up_kernel() -> None:
    """Load the compiled kernel: the first call of each function takes some 0.1 s."""
    for entity, rows in NO_ROWS.items():
        some = np.zeros((1, rows.shape[1]), np.int64)
        fold(entity, empty(entity), some, NO_LABELS, 0)

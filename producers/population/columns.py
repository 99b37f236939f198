"""Transactions as parallel numpy arrays, in the codes of a population."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from fraudsim.log.events import Channel

DAY_MS: Final = 86_400_000
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
POS: Final = CHANNELS.index("pos")
ECOMMERCE: Final = CHANNELS.index("ecommerce")
ATM: Final = CHANNELS.index("atm")
RECURRING: Final = CHANNELS.index("recurring")
MOTO: Final = CHANNELS.index("moto")


@dataclass(frozen=True, eq=False)
class Columns:
    """What is not implied by the merchant; `mcc`, `country`, `lat` and `lon` follow from it."""

    ts: NDArray[np.int64]
    """Event time, ms UTC."""
    card: NDArray[np.int32]
    """Index into the population's cards."""
    merchant: NDArray[np.int32]
    """Index into the population's merchants."""
    channel: NDArray[np.int8]
    """Index into `CHANNELS`."""
    amount_cents: NDArray[np.int64]
    device: NDArray[np.uint64]
    """Device number; 0 is absent."""
    ip: NDArray[np.uint32]
    """IPv4 address; 0 is absent."""

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> "Columns":
        """The rows of an index or a mask, in its order."""
        return Columns(*(getattr(self, field.name)[index] for field in fields(self)))


def concatenate(parts: Sequence[Columns]) -> Columns:
    """All rows, in order; no parts give no rows."""
    if not parts:
        return EMPTY
    return Columns(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Columns))
    )


EMPTY: Final = Columns(
    ts=np.empty(0, np.int64),
    card=np.empty(0, np.int32),
    merchant=np.empty(0, np.int32),
    channel=np.empty(0, np.int8),
    amount_cents=np.empty(0, np.int64),
    device=np.empty(0, np.uint64),
    ip=np.empty(0, np.uint32),
)


def address(words: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """An IPv4 address in 240.0.0.0/4, which is reserved: no address of the world is anybody's."""
    return (np.uint64(0xF0000000) | (words & np.uint64(0x0FFFFFFF))).astype(np.uint32)

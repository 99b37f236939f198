"""Transactions as parallel numpy arrays, in the codes of a population."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Flags, Int32s, Ints
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
    """One entry per transaction; `mcc`, `country`, `lat` and `lon` follow from the merchant."""

    ts: Ints
    """Event time, ms UTC."""
    card: Int32s
    """Index into the population's cards."""
    merchant: Int32s
    """Index into the population's merchants."""
    channel: NDArray[np.int8]
    """Index into `CHANNELS`."""
    amount_cents: Ints
    device: NDArray[np.uint64]
    """Device number; 0 is absent."""
    ip: NDArray[np.uint32]
    """IPv4 address; 0 is absent."""

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, index: NDArray[np.intp] | Flags) -> "Columns":
        """The rows at an index, in its order, or those of a mask."""
        return Columns(*(getattr(self, field.name)[index] for field in fields(self)))


def concatenate(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, in order."""
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


def ipv4_address(words: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """An address in 240.0.0.0/4 per word; that range is reserved, so no real host has such an address."""
    return (np.uint64(0xF0000000) | (words & np.uint64(0x0FFFFFFF))).astype(np.uint32)

"""The interface of the zoo: data in, a model out that scores prepared inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Doubles, Flags, Floats, Ints
from stream_features.catalogue.features import CHANNELS, DAY
from stream_features.offline.columns import codes, column, hashes

ID_FIELDS: Final = ("card_id", "merchant_id", "device_id", "ip")
STEPS: Final = 32
"""Most payments of a card that a sequence model sees, the one at hand included."""


@dataclass(frozen=True, eq=False)
class ZooData:
    """All transactions of a history, in order of time; arrays have one entry per transaction."""

    features: Floats
    """(n, SIZE)."""
    ids: Ints
    """Hashes of `ID_FIELDS`, 0 where absent; (n, 4)."""
    payments: Floats
    """What a sequence model sees of each payment; (n, `PAYMENT_SIZE`)."""
    previous: Ints
    """Row of the same card's previous payment, -1 without one; (n,)."""
    amount_cents: Ints
    can_hold: Flags
    """Whether a review can hold the payment; (n,)."""

    def sequences(self, rows: Ints) -> Floats:
        """The last `STEPS` payments of each row's card, oldest first, zeros before the first one.

        Shape (len(rows), STEPS, PAYMENT_SIZE); the last column is 1 where there is a payment.
        """
        out = np.zeros((len(rows), STEPS, PAYMENT_SIZE), np.float32)
        at = rows.copy()
        for step in range(STEPS - 1, -1, -1):
            present = at >= 0
            out[present, step] = self.payments[at[present]]
            at = np.where(present, self.previous[at], -1)
        return out


PAYMENT_SIZE: Final = 6 + len(CHANNELS) + 1


def zoo_data(transactions: pa.Table, features: Floats, can_hold: Flags) -> ZooData:
    """The data of a table in order of time.

    Args:
        features: of its rows, (n, SIZE).
        can_hold: whether a review can hold the payment, (n,).
    """
    ts = column(transactions, "ts").astype(np.int64)
    card, _ = codes(transactions, "card_id")
    merchant, _ = codes(transactions, "merchant_id")
    previous = _previous_rows(card)
    return ZooData(
        features=features,
        ids=np.stack([hashes(transactions, name) for name in ID_FIELDS], axis=1),
        payments=_payments(transactions, ts, merchant, previous),
        previous=previous,
        amount_cents=column(transactions, "amount_cents").astype(np.int64),
        can_hold=can_hold,
    )


def _previous_rows(card: Ints) -> Ints:
    order = np.argsort(card, kind="stable")
    previous = np.full(len(card), -1, np.int64)
    same = card[order][1:] == card[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def _payments(transactions: pa.Table, ts: Ints, merchant: Ints, previous: Ints) -> Floats:
    """Log amount, log gap, time of day as an angle, merchant as before or not, country known, channel, 1."""
    amount: Doubles = column(transactions, "amount_cents").astype(np.float64)
    gap_s = np.where(previous >= 0, (ts - ts[previous]) / 1000.0, 30 * DAY / 1000)
    angle = 2 * np.pi * (ts % DAY) / DAY
    country, names = codes(transactions, "country")
    usual = np.argmax(np.bincount(country[country >= 0])) if len(names) and (country >= 0).any() else -1
    channel, channel_names = codes(transactions, "channel")
    one_hot = [
        (channel == channel_names.index(name)) if name in channel_names else np.zeros(len(ts), np.bool_)
        for name in CHANNELS
    ]
    values = [
        np.log1p(amount) / 10,
        np.log1p(np.clip(gap_s, 0, None)) / 10,
        np.sin(angle),
        np.cos(angle),
        (previous >= 0) & (merchant == merchant[previous]),
        country == usual,
        *one_hot,
        np.ones(len(ts)),
    ]
    return np.stack(values, axis=1).astype(np.float32)


class ZooModel(Protocol):
    """A fitted model of the zoo."""

    @property
    def size_bytes(self) -> int:
        """Of its parameters, as they would be stored."""
        ...

    def inputs(self, data: ZooData, rows: Ints) -> Any:
        """What it scores, of some rows: what a scorer would have read from the state."""
        ...

    def score(self, inputs: Any) -> Floats:
        """Scores in [0, 1]; shape (rows,). All that a decision would have to compute is in here."""
        ...


@dataclass(frozen=True)
class ZooEntry:
    """A kind of model: how it is fitted, and whether it can be served."""

    name: str
    fit: Callable[[ZooData, Ints, Flags, int], ZooModel]
    """From the data, the training rows, their known frauds and a seed."""
    served: bool
    serving: str
    """How it is served, or what that would take."""

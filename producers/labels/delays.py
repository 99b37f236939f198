"""Labels of a world: by which source, after which delay, and with which errors. Pure."""

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Flags, Int32s, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import LabelSource

SOURCES: Final[tuple[LabelSource, ...]] = get_args(LabelSource)
CUSTOMER: Final = SOURCES.index("customer")
CHARGEBACK: Final = SOURCES.index("chargeback")
ANALYST: Final = SOURCES.index("analyst")
LABEL_MEMORY_DAYS: Final = 120
"""Days for which features remember a label; a test holds it to the catalogue's `LABEL_MEMORY`."""
_HOUR_MS: Final = 3_600_000


_PAIRS: Final = (
    ("analyst_median_hours", "analyst_max_hours"),
    ("customer_median_hours", "customer_max_hours"),
    ("chargeback_min_days", "chargeback_max_days"),
    ("clearing_min_days", "clearing_max_days"),
)
"""Pairs of fields; the first must not exceed the second."""


@dataclass(frozen=True)
class LabelDelays:
    """Shares of frauds by their first label's source, delays in event time, and errors.

    Frauds beyond the shares `never`, `analyst` and `customer` are labelled by chargeback alone. Frauds of one
    card on one day are labelled together; delays count from the last of them.
    """

    never: float = 0.05
    analyst: float = 0.15
    customer: float = 0.55
    analyst_median_hours: float = 5.0
    analyst_max_hours: float = 48.0
    customer_median_hours: float = 36.0
    customer_max_hours: float = 336.0
    chargeback_min_days: float = 30.0
    chargeback_max_days: float = 90.0
    chargeback_after_customer: float = 0.5
    """Share of frauds reported by a customer that a chargeback confirms."""
    analyst_misses: float = 0.08
    """Share of reviewed frauds that an analyst clears; a chargeback reverses that."""
    false_disputes: float = 0.0002
    """Share of honest transactions that a customer reports as fraud."""
    false_disputes_cleared: float = 0.85
    """Share of false disputes that an analyst later reverses."""
    clearing_min_days: float = 3.0
    clearing_max_days: float = 20.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise FraudsimError(f"label delays: {name}={value!r} must be a number, 0 or more")
            if not name.endswith(("_hours", "_days")) and value > 1:
                raise FraudsimError(f"label delays: {name}={value!r} is a share, at most 1")
        shares = self.never + self.analyst + self.customer
        if shares > 1:
            raise FraudsimError(
                f"label delays: never={self.never!r}, analyst={self.analyst!r} and "
                f"customer={self.customer!r} come to {shares:g}; at most 1"
            )
        for low_name, high_name in _PAIRS:
            low, high = getattr(self, low_name), getattr(self, high_name)
            if low > high:
                raise FraudsimError(f"label delays: {low_name}={low!r} is more than {high_name}={high!r}")
        for name, days in self._days_of_settings().items():
            if days > LABEL_MEMORY_DAYS:
                raise FraudsimError(
                    f"label delays: {name} is {days:g} days, beyond the {LABEL_MEMORY_DAYS} days for which "
                    "features remember a label; give less"
                )

    def _days_of_settings(self) -> dict[str, float]:
        """The longest delay of each source in days, by the settings that make it."""
        return {
            f"chargeback_max_days={self.chargeback_max_days!r}": self.chargeback_max_days,
            f"analyst_max_hours={self.analyst_max_hours!r}": self.analyst_max_hours / 24,
            f"customer_max_hours={self.customer_max_hours!r} with clearing_max_days="
            f"{self.clearing_max_days!r}": self.customer_max_hours / 24 + self.clearing_max_days,
        }

    @property
    def longest_days(self) -> int:
        """Upper bound of the delay from a transaction to any of its labels, in whole days."""
        return int(np.ceil(max(self._days_of_settings().values()))) + 1


@dataclass(frozen=True, eq=False)
class LabelColumns:
    """Labels as parallel arrays, sorted by (known_at, row)."""

    row: Ints
    """Index of the transaction in the arrays given to `label_transactions`."""
    is_fraud: Flags
    source: NDArray[np.int8]
    """Index into `SOURCES`."""
    known_at: Ints
    """Event time, ms UTC."""

    def __len__(self) -> int:
        return len(self.row)


def label_transactions(
    ts: Ints,
    card: Ints | Int32s,
    is_fraud: Flags,
    delays: LabelDelays,
    rng: np.random.Generator,
) -> LabelColumns:
    """Every label that one day's transactions (`ts` in ms UTC) will ever get."""
    fraud = np.flatnonzero(is_fraud)
    victims, group = np.unique(card[fraud], return_inverse=True)
    last = np.zeros(len(victims), np.int64)
    np.maximum.at(last, group, ts[fraud])
    count = len(victims)
    draw = rng.random(count)
    analyst_at = last + _log_normal(delays.analyst_median_hours, delays.analyst_max_hours, 0.8, count, rng)
    customer_at = last + _log_normal(delays.customer_median_hours, delays.customer_max_hours, 1.0, count, rng)
    chargeback_at = last + _uniform(delays.chargeback_min_days, delays.chargeback_max_days, count, rng)
    missed = rng.random(count) < delays.analyst_misses
    confirmed = rng.random(count) < delays.chargeback_after_customer
    by_analyst = (draw >= delays.never) & (draw < delays.never + delays.analyst)
    by_customer = (draw >= delays.never + delays.analyst) & (
        draw < delays.never + delays.analyst + delays.customer
    )
    by_chargeback = draw >= delays.never + delays.analyst + delays.customer
    charged_back = by_chargeback | (by_customer & confirmed) | (by_analyst & missed)
    certain = np.ones(count, np.bool_)
    parts = []
    for chosen, verdict, source, label_at in (
        (by_analyst, ~missed, ANALYST, analyst_at),
        (by_customer, certain, CUSTOMER, customer_at),
        (charged_back, certain, CHARGEBACK, chargeback_at),
    ):
        rows = np.flatnonzero(chosen[group])
        parts.append((fraud[rows], verdict[group[rows]], source, label_at[group[rows]]))

    honest = np.flatnonzero(~is_fraud)
    disputed = honest[rng.random(len(honest)) < delays.false_disputes]
    label_at = ts[disputed] + _log_normal(
        delays.customer_median_hours, delays.customer_max_hours, 1.0, len(disputed), rng
    )
    cleared = np.flatnonzero(rng.random(len(disputed)) < delays.false_disputes_cleared)
    cleared_at = label_at[cleared] + _uniform(
        delays.clearing_min_days, delays.clearing_max_days, len(cleared), rng
    )
    parts.append((disputed, np.ones(len(disputed), np.bool_), CUSTOMER, label_at))
    parts.append((disputed[cleared], np.zeros(len(cleared), np.bool_), ANALYST, cleared_at))

    row = np.concatenate([part[0] for part in parts]).astype(np.int64)
    known_at = np.concatenate([part[3] for part in parts])
    order = np.lexsort((row, known_at))
    return LabelColumns(
        row=row[order],
        is_fraud=np.concatenate([part[1] for part in parts])[order],
        source=np.concatenate([np.full(len(part[0]), part[2], np.int8) for part in parts])[order],
        known_at=known_at[order],
    )


def _log_normal(
    median_hours: float, max_hours: float, sigma: float, count: int, rng: np.random.Generator
) -> Ints:
    """Delays in ms, clipped to `max_hours` and to at least half an hour or `max_hours`, whichever is less."""
    hours = median_hours * np.exp(sigma * rng.standard_normal(count))
    return (np.clip(hours, min(0.5, max_hours), max_hours) * _HOUR_MS).astype(np.int64)


def _uniform(low_days: float, high_days: float, count: int, rng: np.random.Generator) -> Ints:
    return (rng.uniform(low_days, high_days, size=count) * 24 * _HOUR_MS).astype(np.int64)

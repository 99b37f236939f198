"""A week of decisions, and what is kept of it: counts under each resample of the cards."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dashboards.drift.grid import CELLS, CellGrid
from dashboards.drift.resampling import RESAMPLES, card_weights
from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.errors import FraudsimError

MOST_VALUES: Final = 4_096
"""Of a category; what comes later counts as one value more."""
MOST_CARDS: Final = 50_000
"""Of more cards a week is known by those with the smallest hashes."""
FEWEST_ROWS: Final = 50
"""Of a column in its first week; with fewer it is left out."""


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a week: values where it is looked at, nan where one is missing."""

    values: Doubles
    rows: Flags | None = None
    """Which rows it is of, shape (n,); None for all."""
    most_cells: int = CELLS
    only_area: bool = False
    """Whether the area alone is a signal: of one column among many, which share one promise."""
    volume: bool = False
    """Whether it tells how much is going on, which sales and holidays change: a higher floor."""


@dataclass(frozen=True, eq=False)
class Rate:
    """Sums over some rows of some cards; shape (m,) each."""

    cards: Ints
    numerator: Doubles
    denominator: Doubles


@dataclass(frozen=True)
class MatureWeek:
    """What decisions were worth on payments old enough that most of their frauds are known."""

    first_ms: int
    """Event time of its first payment."""
    cost_cents: float
    """Of the cheapest action by each probability, as the labels have it."""
    at_stake_cents: int
    """Fraud by label: what approving everything would cost."""

    @property
    def cost_share(self) -> float | None:
        """The cost over that of approving everything; None without a known fraud."""
        return self.cost_cents / self.at_stake_cents if self.at_stake_cents else None


@dataclass(frozen=True, eq=False)
class WeekRows:
    """The decisions of a week."""

    start_ms: int
    cards: Ints
    """Hash of each row's card, shape (n,)."""
    columns: Mapping[str, Column]
    categories: Mapping[str, Doubles]
    """Codes of categories, of which a value never seen before is news."""
    rates: Mapping[str, Rate]
    mature: MatureWeek | None = None
    """Of the payments two weeks before."""

    def features_only(self) -> "WeekRows":
        """Without what a history does not have: scores, actions and labels of decisions."""
        columns = {name: column for name, column in self.columns.items() if name != "score"}
        return replace(self, columns=columns, rates={}, mature=None)


@dataclass(frozen=True, eq=False)
class WeekSummary:
    """What is kept of a week, whatever its number of rows."""

    start_ms: int
    counts: Mapping[str, Doubles]
    """By column, shape (resamples + 1, cells): rows by cell; the first of the sample itself."""
    rates: Mapping[str, Doubles]
    """By rate, shape (resamples + 1, 2): numerator and denominator."""
    values: Mapping[str, Mapping[float, int]]
    """By category, rows by value."""
    only_area: frozenset[str]
    """Columns of which the area alone is a signal."""
    volumes: frozenset[str]
    """Columns with the higher floor."""


class WeekSummarizer:
    """Makes summaries of weeks; the first one cuts the cells of all."""

    def __init__(self, seed: int = 0, resamples: int = RESAMPLES) -> None:
        self._seed, self._resamples = seed, resamples
        self._grids: dict[str, CellGrid] = {}

    def summarize(self, week: WeekRows) -> WeekSummary:
        """The summary of a week.

        Raises:
            FraudsimError: the week has no rows.
        """
        if not len(week.cards):
            raise FraudsimError(
                f"drift: the week from {week.start_ms} has no decisions; give weeks that have some"
            )
        if not self._grids:
            self._grids = {
                name: CellGrid(_looked_at(column), column.most_cells)
                for name, column in week.columns.items()
                if len(_looked_at(column)) >= FEWEST_ROWS
            }
        keys, card = np.unique(week.cards, return_inverse=True)
        chosen = np.sort(keys.view(np.uint64))[:MOST_CARDS][-1] if len(keys) > MOST_CARDS else None
        weights = card_weights(keys, self._seed, self._resamples)
        if chosen is not None:
            weights[:, keys.view(np.uint64) > chosen] = 0
        return WeekSummary(
            week.start_ms,
            self._count(week.columns, card.ravel(), weights),
            {name: self._sum(rate) for name, rate in week.rates.items()},
            {name: _value_counts(codes) for name, codes in week.categories.items()},
            frozenset(name for name, column in week.columns.items() if column.only_area),
            frozenset(name for name, column in week.columns.items() if column.volume),
        )

    def _count(self, columns: Mapping[str, Column], card: Ints, weights: Doubles) -> dict[str, Doubles]:
        """Counts of every column; one product of matrices for all, since each starts threads."""
        n = weights.shape[1]
        grids = {name: grid for name, grid in self._grids.items() if name in columns}
        by_card = []
        for name, grid in grids.items():
            column = columns[name]
            cards = card if column.rows is None else card[column.rows]
            cells = cards * grid.size + grid.cell_of(_looked_at(column))
            by_card.append(np.bincount(cells, minlength=n * grid.size).reshape(n, grid.size))
        if not grids:
            return {}
        counts = weights @ np.hstack(by_card).astype(np.float64)
        ends = np.cumsum([grid.size for grid in grids.values()])
        return dict(zip(grids, np.split(counts, ends[:-1], axis=1), strict=True))

    def _sum(self, rate: Rate) -> Doubles:
        keys, card = np.unique(rate.cards, return_inverse=True)
        card = card.ravel()
        by_card = np.column_stack(
            [np.bincount(card, part, len(keys)) for part in (rate.numerator, rate.denominator)]
        )
        sums: Doubles = card_weights(keys, self._seed, self._resamples) @ by_card
        return sums


def _looked_at(column: Column) -> Doubles:
    return column.values if column.rows is None else column.values[column.rows]


def _value_counts(codes: Doubles) -> dict[float, int]:
    values, counts = np.unique(codes[~np.isnan(codes)], return_counts=True)
    return dict(zip(values[:MOST_VALUES].tolist(), counts[:MOST_VALUES].tolist(), strict=True))

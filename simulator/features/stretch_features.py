"""All features of a stretch: request, windows, fraud rates; right while labels arrive and rows change."""

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Floats, Ints
from fraudsim.log.events import Label, Transaction
from simulator.features.columns import NOBODY, RowColumns
from simulator.features.label_book import RATES, LabelBook
from simulator.features.window_features import WindowFeatures
from simulator.regimes import Regime
from stream_features.offline.bulk import request_matrix
from stream_features.vector import REQUEST_INDEXES, SIZE, request_features


class StretchFeatures:
    """The vectors of a stretch, shape (n, SIZE), in `values`."""

    def __init__(
        self,
        regime: Regime,
        table: pa.Table,
        past: RowColumns,
        labels: LabelBook,
        primed_ms: int | None = None,
    ) -> None:
        """
        Args:
            table: the transactions, in order of time.
            labels: those known so far; later ones come by `add_label`.
            past, primed_ms: as `WindowFeatures` takes them.
        """
        self._labels = labels
        stretch = RowColumns.of(table)
        self.values: Floats = np.full((len(stretch.ts), SIZE), np.nan, np.float32)
        self.values[:, REQUEST_INDEXES] = request_matrix(table)
        self._windows = WindowFeatures(regime, past, stretch, primed_ms)
        self._first = len(past.ts)
        self._merchants: Ints = stretch.merchant.copy()
        order = np.argsort(self._merchants, kind="stable")
        self._order, self._order_keys = order, self._merchants[order]
        self._moved: dict[int, list[int]] = {}
        self._windowed = regime.features == "all"
        if self._windowed:
            self._windows.fill(self.values)
            self._counts: Floats = self.values[:, RATES[:, 4]].copy()
            for merchant in np.unique(self._order_keys).tolist():
                if merchant != NOBODY:
                    self._fill_rates(merchant, self._rows_of(merchant))

    @property
    def ts(self) -> Ints:
        return self._windows.columns.ts[self._first :]

    @property
    def card(self) -> Ints:
        """Hash of each row's card."""
        return self._windows.columns.card[self._first :]

    @property
    def seen_to(self) -> Ints:
        """Event time up to which each row has seen events, ms."""
        return self._windows.seen_to[self._first :]

    def past_for(self, start_ms: int) -> RowColumns:
        """The rows that a stretch from `start_ms` on still needs."""
        return self._windows.past_for(start_ms)

    def _rows_of(self, merchant: int) -> Ints:
        order, keys = self._order, self._order_keys
        rows = order[np.searchsorted(keys, merchant) : np.searchsorted(keys, merchant, "right")]
        moved = self._moved.get(merchant)
        if moved:
            rows = np.unique(np.concatenate([rows, np.array(moved, np.int64)]))
        return rows[self._merchants[rows] == merchant]

    def _fill_rates(self, merchant: int, rows: Ints) -> None:
        windows, first = self._windows, self._first
        self._labels.fill(
            merchant, rows, windows.seen_to[first:], windows.read_at[first:], self._counts, self.values
        )

    def add_label(self, label: Label) -> Ints:
        """Take in a label; returns the later rows whose vector changed by it, ascending."""
        merchant = self._labels.add(label) if self._windowed else NOBODY
        rows = self._rows_of(merchant) if merchant != NOBODY else np.empty(0, np.int64)
        rows = rows[self.ts[rows] > label.known_at]
        if not len(rows):
            return rows
        before = self.values[np.ix_(rows, RATES[:, 4])]
        self._fill_rates(merchant, rows)
        after = self.values[np.ix_(rows, RATES[:, 4])]
        differs = (before != after) & ~(np.isnan(before) & np.isnan(after))
        return rows[differs.any(axis=1)]

    def change(self, row: int, tx: Transaction | None, merchant: int) -> Ints:
        """Put another transaction in the place of a row, or none; returns the rows whose vector may differ.

        Args:
            merchant: hash of the new merchant.
        """
        old = int(self._merchants[row])
        if tx is None:
            self._merchants[row] = NOBODY
        else:
            self.values[row] = np.nan
            self.values[row, REQUEST_INDEXES] = request_features(tx)
            if merchant != old:
                self._merchants[row] = merchant
                self._moved.setdefault(merchant, []).append(row)
        if not self._windowed:
            return np.array([] if tx is None else [row], np.int64)
        rates = self.values[:, RATES[:, 4]]
        self.values[:, RATES[:, 4]] = self._counts
        rows = self._windows.change(row, tx, self.values)
        self._counts = self.values[:, RATES[:, 4]].copy()
        self.values[:, RATES[:, 4]] = rates
        for key in {old, merchant} - {NOBODY}:
            members = self._rows_of(key)
            self._fill_rates(key, members[members >= row])
        return rows

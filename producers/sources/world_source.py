"""The world as a live stream: transactions, the truth of the frauds, and labels when they become known."""

from collections.abc import Iterator
from heapq import merge
from itertools import count
from operator import itemgetter
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.id_columns import spelled
from fraudsim.log.events import Label, Transaction, Truth
from fraudsim.log.topics import LABELS, TRANSACTIONS, TRUTH
from producers.history.tables import Tables, day_tables
from producers.sources.source import Item
from producers.world.world import World

_CHUNK_ROWS: Final = 500
"""Rows turned into objects at a time: a whole day holds the interpreter for 150 ms and delays the sends."""


class WorldSource:
    """An endless `Source`, made lazily day by day.

    Labels of the days before `first_live_day` are included if they become known from `start_ms` on. A
    fraudulent transaction is followed by one truth, due at the same time; an honest one has none. `sent_at`
    is 0: the sender stamps it.
    """

    def __init__(
        self,
        world: World,
        first_live_day: int,
        *,
        labels: bool = True,
        labels_before: pa.Table | None = None,
        honest: bool = True,
    ) -> None:
        """
        Args:
            labels: False leaves out all labels.
            labels_before: labels of the days before (`tables.LABELS`), as a history holds them; if None,
                three months of days are made again.
            honest: False leaves out honest transactions, which saves most of the work.
        """
        self._honest = honest
        self._with_labels = labels
        self._labels_before = labels_before
        self.world = world
        self.first_live_day = first_live_day
        self.start_ms = world.day_start_ms(first_live_day)
        self.name = f"world-{world.fingerprint}-day-{first_live_day}"

    def items(self) -> Iterator[Item]:
        """Records in order of `due_ms`; at equal times transactions, then truths, then labels."""
        pending_labels = list(self._labels_of_days_before()) if self._with_labels else []
        for number in count(self.first_live_day):
            tables = self._day(number).with_text_ids()
            if self._with_labels:
                pending_labels += label_items(tables.labels)
            end_ms = self.world.day_start_ms(number + 1)
            due = sorted((item for item in pending_labels if item.due_ms < end_ms), key=label_order)
            pending_labels = [item for item in pending_labels if item.due_ms >= end_ms]
            sent_tables = tables if self._honest else frauds_of(tables)
            yield from merge(transaction_items(sent_tables), due, key=itemgetter(0))

    def _day(self, number: int) -> Tables:
        typologies = [typology.name for typology in self.world.typologies]
        return day_tables(self.world.population, self.world.day(number), typologies)

    def _labels_of_days_before(self) -> Iterator[Item]:
        if self._labels_before is not None:
            tables = [self._labels_before]
        else:
            first = max(0, self.first_live_day - self.world.config.delays.longest_days)
            days = range(first, self.first_live_day)
            tables = [spelled(self._day(number).labels) for number in days]
        for table in tables:
            yield from label_items(table.filter(pc.greater_equal(table["known_at"], self.start_ms)))


def frauds_of(tables: Tables) -> Tables:
    """The tables without honest transactions; the labels are unchanged."""
    fraud = tables.truth["is_fraud"]
    return tables._replace(transactions=tables.transactions.filter(fraud), truth=tables.truth.filter(fraud))


def transaction_items(tables: Tables) -> Iterator[Item]:
    """Each transaction of the tables, in their order; a fraud is followed by its truth."""
    for start in range(0, tables.transactions.num_rows, _CHUNK_ROWS):
        yield from _transaction_items(
            tables.transactions.slice(start, _CHUNK_ROWS), tables.truth.slice(start, _CHUNK_ROWS)
        )


def _transaction_items(transactions: pa.Table, truth_table: pa.Table) -> Iterator[Item]:
    columns = [column.to_pylist() for column in transactions.columns]
    truths = [column.to_pylist() for column in truth_table.columns[1:]]
    for row, truth in zip(zip(*columns, strict=True), zip(*truths, strict=True), strict=True):
        tx_id, ts, card, merchant, device, ip, amount, currency, mcc, channel, country, lat, lon = row
        event = Transaction(
            tx_id=tx_id,
            ts=ts,
            card_id=card,
            merchant_id=merchant,
            device_id=device,
            ip=ip,
            amount_cents=amount,
            currency=currency,
            mcc=mcc,
            channel=channel,
            country=country,
            lat=lat,
            lon=lon,
        )
        is_fraud, typology, campaign = truth
        yield Item(ts, TRANSACTIONS, card, event, campaign)
        if is_fraud:
            fraud_truth = Truth(tx_id=tx_id, is_fraud=True, typology=typology, campaign_id=campaign)
            yield Item(ts, TRUTH, card, fraud_truth, campaign)


def label_items(labels: pa.Table) -> list[Item]:
    """Each label of a table, due when it becomes known."""
    return [Item(row["known_at"], LABELS, row["card_id"], Label(**row)) for row in labels.to_pylist()]


def label_order(item: Item) -> tuple[int, str, str]:
    """Sort key of a label: (known_at, tx_id, source)."""
    label = item.event
    assert isinstance(label, Label)
    return (item.due_ms, label.tx_id, label.source)

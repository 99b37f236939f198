"""Bytewax: a sliding window's count by card, by event time, emitted when the window closes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, SlidingWindower, fold_window
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from load_tests.rivals.stopwatch import Stopwatch, arguments

ALIGN = datetime(2020, 1, 1, tzinfo=UTC)


class Transaction(msgspec.Struct):
    """The fields that are used."""

    card_id: str
    ts: int


given, watch = arguments(), Stopwatch()
records = dict.fromkeys(given["cards"], 0)
windows: dict[str, dict[int, int]] = {card: {} for card in given["cards"]}
read: list[int] = [0]


class FirstRecords(KafkaSource):
    """Of each partition the first records only."""

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Any:
        part = super().build_part(step_id, for_part, resume_state)
        left = given["events"] // given["partitions"]
        of_kafka = part.next_batch

        def next_batch() -> Any:
            nonlocal left
            if left <= 0:
                raise StopIteration
            batch = of_kafka()[:left]
            left -= len(batch)
            return batch

        part.next_batch = next_batch
        return part


decode = msgspec.json.Decoder(Transaction).decode


def decoded(message: Any) -> tuple[str, Transaction]:
    """The card, and its transaction."""
    watch.start()
    read[0] += 1
    tx = decode(message.value)
    if tx.card_id in records:
        records[tx.card_id] += 1
    return tx.card_id, tx


class Collected(StatelessSinkPartition[Any]):
    """Keeps the windows of the sampled cards."""

    def write_batch(self, items: list[Any]) -> None:
        for card, (window, number) in items:
            if card in windows:
                start = ALIGN + window * timedelta(milliseconds=given["hop_ms"])
                windows[card][round(start.timestamp() * 1000)] = number


class Collect(DynamicSink[Any]):
    """One worker, one part."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Collected:
        return Collected()


flow = Dataflow("bench")
stream = op.input("in", flow, FirstRecords([given["kafka"]], ["transactions"], tail=False))
keyed = op.map("decode", stream, decoded)
clock = EventClock(
    ts_getter=lambda tx: datetime.fromtimestamp(tx.ts / 1000, UTC), wait_for_system_duration=timedelta(0)
)
windower = SlidingWindower(
    length=timedelta(milliseconds=given["window_ms"]),
    offset=timedelta(milliseconds=given["hop_ms"]),
    align_to=ALIGN,
)
counted = fold_window("count", keyed, clock, windower, int, lambda number, _: number + 1, lambda a, b: a + b)
op.output("out", counted.down, Collect())
run_main(flow)
watch.stop()
watch.report(given["out"], read[0], {"records": records, "windows": windows})

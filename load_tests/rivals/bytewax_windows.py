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


class CardTransaction(msgspec.Struct):
    """The fields in use."""

    card_id: str
    ts: int


options, watch = arguments(), Stopwatch()
records = dict.fromkeys(options["cards"], 0)
windows: dict[str, dict[int, int]] = {card: {} for card in options["cards"]}
read_count: list[int] = [0]


class FirstRecords(KafkaSource):
    """The first records of each partition."""

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Any:
        part = super().build_part(step_id, for_part, resume_state)
        remaining = options["events"] // options["partitions"]
        kafka_batch = part.next_batch

        def next_batch() -> Any:
            nonlocal remaining
            if remaining <= 0:
                raise StopIteration
            batch = kafka_batch()[:remaining]
            remaining -= len(batch)
            return batch

        part.next_batch = next_batch
        return part


decode = msgspec.json.Decoder(CardTransaction).decode


def decode_message(message: Any) -> tuple[str, CardTransaction]:
    """(card_id, transaction) of a record."""
    watch.start()
    read_count[0] += 1
    tx = decode(message.value)
    if tx.card_id in records:
        records[tx.card_id] += 1
    return tx.card_id, tx


class WindowSink(StatelessSinkPartition[Any]):
    """Keeps the windows of the sampled cards."""

    def write_batch(self, items: list[Any]) -> None:
        for card, (window, count) in items:
            if card in windows:
                start = ALIGN + window * timedelta(milliseconds=options["hop_ms"])
                windows[card][round(start.timestamp() * 1000)] = count


class WindowOutput(DynamicSink[Any]):
    """The sink of the one worker."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> WindowSink:
        return WindowSink()


flow = Dataflow("bench")
stream = op.input("in", flow, FirstRecords([options["kafka"]], ["transactions"], tail=False))
keyed = op.map("decode", stream, decode_message)
clock = EventClock(
    ts_getter=lambda tx: datetime.fromtimestamp(tx.ts / 1000, UTC), wait_for_system_duration=timedelta(0)
)
windower = SlidingWindower(
    length=timedelta(milliseconds=options["window_ms"]),
    offset=timedelta(milliseconds=options["hop_ms"]),
    align_to=ALIGN,
)
counted = fold_window("count", keyed, clock, windower, int, lambda count, _: count + 1, lambda a, b: a + b)
op.output("out", counted.down, WindowOutput())
run_main(flow)
watch.stop()
watch.report(options["out"], read_count[0], {"records": records, "windows": windows})

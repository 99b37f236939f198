"""Faust's windowed table, as in its documentation: a hopping window's count by card, by event time."""

import os
import tempfile
from typing import Any

import faust

from load_tests.rivals.stopwatch import Stopwatch, arguments

options, watch = arguments(), Stopwatch()
app = faust.App(
    f"bench-{os.getpid()}",
    broker=f"kafka://{options['kafka']}",
    web_enabled=False,
    topic_disable_leader=True,
    topic_partitions=options["partitions"],
    consumer_auto_offset_reset="earliest",
    store="memory://",
    datadir=tempfile.mkdtemp(),
)


class TransactionRecord(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """The fields in use."""

    tx_id: str
    card_id: str
    ts: int


topic = app.topic("transactions", value_type=TransactionRecord)
# The field is in ms, and so are the windows.
counts = (
    app.Table("counts", default=int, partitions=options["partitions"])
    .hopping(options["window_ms"], options["hop_ms"], expires=30 * 86_400_000)
    .relative_to_field(TransactionRecord.ts)
)


def windows() -> dict[str, dict[int, int]]:
    """Counts of the sampled cards by window start, ms."""
    sampled: dict[str, dict[int, int]] = {card: {} for card in options["cards"]}
    for (card, (start, _)), card_count in counts.table.items():
        if card in sampled:
            sampled[card][round(start)] = card_count
    return sampled


@app.agent(topic)
async def count(transactions: Any) -> None:
    events = 0
    records: dict[str, int] = dict.fromkeys(options["cards"], 0)
    async for tx in transactions:
        watch.start()
        counts[tx.card_id] += 1
        if tx.card_id in records:
            records[tx.card_id] += 1
        events += 1
        if events == options["events"]:
            watch.stop()
            watch.report(options["out"], events, {"records": records, "windows": windows()})
            os._exit(0)


faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()

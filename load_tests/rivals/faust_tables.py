"""Faust's windowed table, as its documentation has it: a hopping window's count by card, by event time."""

import os
import tempfile
from typing import Any

import faust

from load_tests.rivals.stopwatch import Stopwatch, arguments

given, watch = arguments(), Stopwatch()
app = faust.App(
    f"bench-{os.getpid()}",
    broker=f"kafka://{given['kafka']}",
    web_enabled=False,
    topic_disable_leader=True,
    topic_partitions=given["partitions"],
    consumer_auto_offset_reset="earliest",
    store="memory://",
    datadir=tempfile.mkdtemp(),
)


class Transaction(faust.Record, serializer="json"):  # type: ignore[call-arg]
    """The fields that are used."""

    tx_id: str
    card_id: str
    ts: int


topic = app.topic("transactions", value_type=Transaction)
# The field is in ms, and so are the windows.
counts = (
    app.Table("counts", default=int, partitions=given["partitions"])
    .hopping(given["window_ms"], given["hop_ms"], expires=30 * 86_400_000)
    .relative_to_field(Transaction.ts)
)


def windows() -> dict[str, dict[int, int]]:
    """Of the sampled cards, the count by start of the window, ms."""
    found: dict[str, dict[int, int]] = {card: {} for card in given["cards"]}
    for (card, (start, _)), number in counts.table.items():
        if card in found:
            found[card][round(start)] = number
    return found


@app.agent(topic)
async def count(transactions: Any) -> None:
    events = 0
    records: dict[str, int] = dict.fromkeys(given["cards"], 0)
    async for tx in transactions:
        watch.start()
        counts[tx.card_id] += 1
        if tx.card_id in records:
            records[tx.card_id] += 1
        events += 1
        if events == given["events"]:
            watch.stop()
            watch.report(given["out"], events, {"records": records, "windows": windows()})
            os._exit(0)


faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()

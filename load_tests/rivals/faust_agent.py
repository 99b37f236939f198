"""A stock Faust agent that counts transactions by card in a dict, as Faust's tutorial does."""

import os
import tempfile
from typing import Any

import faust

from load_tests.rivals.stopwatch import Stopwatch, arguments

options, watch = arguments(), Stopwatch()
app = faust.App(
    f"bench-{os.getpid()}",
    broker=f"kafka://{options['kafka']}",
    value_serializer="json",
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    datadir=tempfile.mkdtemp(),
)
topic = app.topic("transactions")
counts: dict[str, int] = {}
seen: list[tuple[str, dict[str, int]]] = []


@app.agent(topic)
async def count(transactions: Any) -> None:
    events = 0
    async for tx in transactions:
        watch.start()
        card = tx["card_id"]
        counts[card] = card_count = counts.get(card, 0) + 1
        if card in options["cards"]:
            seen.append((tx["tx_id"], {"count": card_count}))
        events += 1
        if events == options["events"]:
            watch.stop()
            watch.report(options["out"], events, {"values": seen})
            os._exit(0)


faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()

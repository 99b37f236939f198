"""Quix Streams: sliding windows by card, all aggregates of a window in one `agg`, emitted for each record."""

import shutil
import tempfile
from datetime import timedelta
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows.aggregations import Count, Max, Mean, Sum

from load_tests.rivals.stopwatch import Stopwatch, arguments

options, watch = arguments(), Stopwatch()
folder = tempfile.mkdtemp()
app = Application(
    broker_address=options["kafka"],
    consumer_group=f"bench-{options['out'].stem}",
    auto_offset_reset="earliest",
    state_dir=folder,
    loglevel="ERROR",
)


def event_time(value: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
    return int(value["ts"])


topic = app.topic("transactions", value_deserializer="json", timestamp_extractor=event_time)
seen: dict[str, list[dict[str, float]]] = {card: [] for card in options["cards"]}
events: list[int] = [0]


def start_watch(value: dict[str, Any]) -> None:
    watch.start()


transactions = app.dataframe(topic).update(start_watch)
AGGREGATES = {
    "count": Count(),
    "sum": Sum("amount_cents"),
    "mean": Mean("amount_cents"),
    "max": Max("amount_cents"),
}
aggregates = options["aggregates"]
windows = options["windows_ms"]


def collect(value: dict[str, Any], key: Any, timestamp: int, headers: Any, window_ms: int) -> None:
    card = key.decode() if isinstance(key, bytes) else key
    if card in seen:
        values = {name: value[name] for name in aggregates}
        seen[card].append({"window_ms": window_ms, "end": value["end"], **values})
    if window_ms == windows[-1]:
        events[0] += 1
        if events[0] == options["events"]:
            watch.stop()
            app.stop()


for window_ms in windows:
    aggregated = transactions.sliding_window(timedelta(milliseconds=window_ms), name=f"w{window_ms}").agg(
        **{name: AGGREGATES[name] for name in aggregates}
    )
    aggregated.current().update(
        lambda value, key, timestamp, headers, window_ms=window_ms: collect(
            value, key, timestamp, headers, window_ms
        ),
        metadata=True,
    )

app.run()
watch.report(options["out"], events[0], {"sliding": seen})
shutil.rmtree(folder, ignore_errors=True)

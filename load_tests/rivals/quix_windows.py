"""Quix Streams: sliding windows by card, all aggregates of a window in one `agg`, emitted for each record."""

import shutil
import tempfile
from datetime import timedelta
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows.aggregations import Count, Max, Mean, Sum

from load_tests.rivals.stopwatch import Stopwatch, arguments

given, watch = arguments(), Stopwatch()
folder = tempfile.mkdtemp()
app = Application(
    broker_address=given["kafka"],
    consumer_group=f"bench-{given['out'].stem}",
    auto_offset_reset="earliest",
    state_dir=folder,
    loglevel="ERROR",
)


def event_time(value: Any, headers: Any, timestamp: float, timestamp_type: Any) -> int:
    return int(value["ts"])


topic = app.topic("transactions", value_deserializer="json", timestamp_extractor=event_time)
seen: dict[str, list[dict[str, float]]] = {card: [] for card in given["cards"]}
events: list[int] = [0]


def arrived(value: dict[str, Any]) -> None:
    watch.start()


transactions = app.dataframe(topic).update(arrived)
AGGREGATES = {
    "count": Count(),
    "sum": Sum("amount_cents"),
    "mean": Mean("amount_cents"),
    "max": Max("amount_cents"),
}
wanted = given["aggregates"]
windows = given["windows_ms"]


def collect(value: dict[str, Any], key: Any, timestamp: int, headers: Any, window_ms: int) -> None:
    card = key.decode() if isinstance(key, bytes) else key
    if card in seen:
        its = {name: value[name] for name in wanted}
        seen[card].append({"window_ms": window_ms, "end": value["end"], **its})
    if window_ms == windows[-1]:
        events[0] += 1
        if events[0] == given["events"]:
            watch.stop()
            app.stop()


for window_ms in windows:
    of_window = transactions.sliding_window(timedelta(milliseconds=window_ms), name=f"w{window_ms}").agg(
        **{name: AGGREGATES[name] for name in wanted}
    )
    of_window.current().update(
        lambda value, key, timestamp, headers, window_ms=window_ms: collect(
            value, key, timestamp, headers, window_ms
        ),
        metadata=True,
    )

app.run()
watch.report(given["out"], events[0], {"sliding": seen})
shutil.rmtree(folder, ignore_errors=True)

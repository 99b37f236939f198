"""What happened on the line while it was loaded: its logs, Redis' slow log, stalls of the scheduler."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis

from load_tests.load.autopsy.stall_probe import read_stalls
from load_tests.load.clocks.records import Records

KINDS: Final = {
    "collector_paused": "collector",
    "model_served": "exchange of model",
    "policy_served": "exchange of policy",
    "partition_resumed": "rebalance",
    "slots_assigned": "rebalance",
    "catching_up": "catch-up",
    "redis_away": "Redis away",
    "state_away": "state away",
    "redis_full": "Redis full",
}
"""The log's events that can delay a request, and what a report calls them."""
SLOW_LOG: Final = 128
FETCH_GAP_US: Final = 20_000
"""From a record's append to its receipt; the scorer fetches several times as often."""
TIMEOUT_S: Final = 2.0


@dataclass(frozen=True)
class Happening:
    """Something that took a stretch of wall clock time."""

    kind: str
    start_us: int
    end_us: int
    detail: str


def logged_happenings(lines: Iterable[str]) -> list[Happening]:
    """The happenings of a process's log; a line that is no JSON object is passed over."""
    happenings = []
    for line in lines:
        try:
            entry: dict[str, Any] = json.loads(line)
            kind = KINDS.get(entry["event"])
            end_us = round(datetime.fromisoformat(entry["timestamp"]).timestamp() * 1e6)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if kind is not None:
            lasted_us = round(float(entry.get("ms", 0.0)) * 1000)
            happenings.append(Happening(kind, end_us - lasted_us, end_us, f"of {entry.get('process', '?')}"))
    return happenings


def slow_commands(redis_url: str) -> list[Happening]:
    """Redis' slow log, whose times are whole seconds; empty where Redis does not answer."""
    try:
        with redis.Redis.from_url(redis_url, socket_timeout=TIMEOUT_S) as client:
            entries: Any = client.slowlog_get(SLOW_LOG)
    except redis.RedisError:
        return []
    return [
        Happening(
            "Redis' slow log",
            entry["start_time"] * 1_000_000 - entry["duration"],
            entry["start_time"] * 1_000_000 + 1_000_000,
            f"{entry['command'][:24].decode(errors='replace')} {entry['duration'] / 1000:.1f} ms",
        )
        for entry in entries
    ]


def fetch_gaps(records: Records) -> list[Happening]:
    """Stretches in which records lay in the broker's log and the scorer received none.

    They follow from the stamps: a record that was received long after it was appended waited in one.
    """
    waited = records[(records["appended"] > 0) & (records["received"] - records["appended"] > FETCH_GAP_US)]
    gaps: list[Happening] = []
    for record in waited[np.argsort(waited["appended"], kind="stable")]:
        start_us, end_us = int(record["appended"]), int(record["received"])
        if gaps and start_us <= gaps[-1].end_us:
            start_us, end_us = gaps[-1].start_us, max(end_us, gaps.pop().end_us)
        gaps.append(Happening("fetch gap", start_us, end_us, "of the scorer"))
    return gaps


def happenings_of(
    logs: Sequence[Path], redis_url: str | None, stalls: Path | None, window_us: tuple[int, int]
) -> list[Happening]:
    """Everything that is known to have happened in a window."""
    happenings: list[Happening] = []
    for log in logs:
        with log.open(errors="replace") as lines:
            happenings += logged_happenings(lines)
    if redis_url is not None:
        happenings += slow_commands(redis_url)
    if stalls is not None:
        happenings += [
            Happening("scheduler stall", start_us, end_us, "of an idle process")
            for start_us, end_us in read_stalls(stalls)
        ]
    start_us, end_us = window_us
    return [event for event in happenings if event.start_us <= end_us and event.end_us >= start_us]

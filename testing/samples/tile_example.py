"""The worked example of docs/kernels.md: ten events of one merchant, and its tiles after each of them.

`python -m testing.samples.tile_example` prints the drawing and the table of the page.
"""

from typing import Final, NamedTuple

import numpy as np

from stream_features.catalogue.features import DAY, HOUR, MINUTE, SECOND
from stream_features.catalogue.page import duration
from stream_features.kernels import tiled
from stream_features.kernels.state import NO_LABELS, State, empty, fold

HORIZON_MS: Final = 2 * MINUTE
MIDNIGHT_MS: Final = 19_000 * DAY
NOON_MS: Final = MIDNIGHT_MS + 12 * HOUR
EVENTS: Final = (
    (NOON_MS + 1_200, 500),
    (NOON_MS + 1_700, 700),
    (NOON_MS + 3 * SECOND, 900),
    (NOON_MS + 8 * SECOND, 300),
    (NOON_MS + 41 * SECOND, 400),
    (NOON_MS + 2 * MINUTE + 10 * SECOND, 600),
    (NOON_MS + 4 * MINUTE + 30 * SECOND, 800),
    (NOON_MS + 9 * MINUTE + 5 * SECOND, 200),
    (NOON_MS + 90 * MINUTE, 100),
    (NOON_MS + DAY + 5 * HOUR, 1_000),
)
"""(event time ms, cents), in time order."""
COLUMN: Final = 5
"""Characters of an event in the drawing."""


class Tile(NamedTuple):
    """A tile of a state, as its five words have it."""

    start_ms: int
    length_ms: int
    transactions: int
    total_cents: int
    largest_cents: int


def states() -> list[State]:
    """The merchant's state after each event; each event has a card of its own."""
    result = [empty("merchant")]
    for number, (ts, cents) in enumerate(EVENTS, 1):
        row = np.array([(ts, cents, number)], np.int64)
        result.append(fold("merchant", result[-1], row, NO_LABELS, HORIZON_MS))
    return result[1:]


def tiles_of(state: State) -> list[Tile]:
    """The tiles of a merchant's or an address's state, oldest first."""
    end = tiled.HEADER + tiled.TILE * int(state[1])
    return [Tile(*words) for words in state[tiled.HEADER : end].reshape(-1, tiled.TILE).tolist()]


def members(tile: Tile) -> list[int]:
    """Indexes of the example's events in the span of a tile."""
    return [i for i, (ts, _) in enumerate(EVENTS) if 0 <= ts - tile.start_ms < tile.length_ms]


def clock(ts: int) -> str:
    """An event time as the page shows it: 12:00:01.2, or +1d 17:00:00."""
    days, rest = divmod(ts - MIDNIGHT_MS, DAY)
    seconds, ms = divmod(rest, SECOND)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"+{days}d {text}" if days else text + (f".{ms // 100}" if ms else "")


def drawing() -> list[str]:
    """A line for each event: the tiles after it, each as wide as the events that it holds."""
    lines = ["event         cents   tiles after it"]
    for number, ((ts, cents), state) in enumerate(zip(EVENTS, states(), strict=True), 1):
        boxes = ""
        for tile in tiles_of(state):
            width = COLUMN * len([i for i in members(tile) if i < number]) - 1
            boxes += f"├{duration(tile.length_ms).replace(' ', ''):─^{width - 2}}┤ "
        lines.append(f"{clock(ts):12} {cents:6}   {boxes}".rstrip())
    return lines


def table(number: int) -> list[str]:
    """The tiles after an event, counted from 1, as rows of a table."""
    rows = ["| start | length | transactions | sum | largest |", "|---|---|---|---|---|"]
    for tile in tiles_of(states()[number - 1]):
        words = (clock(tile.start_ms), duration(tile.length_ms), *tile[2:])
        rows.append(f"| {' | '.join(map(str, words))} |")
    return rows


if __name__ == "__main__":
    print("\n".join(("```", *drawing(), "```", "", *table(8))))

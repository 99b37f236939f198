"""The worked example of docs/kernels.md and of the tiled kernel's docstring: how ten events' tiles merge."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stream_features.catalogue.features import DAY, FEATURES, HOUR, MINUTE, NAMES, SECOND
from stream_features.kernels import tiled
from stream_features.kernels.state import KERNELS, NO_LABELS, empty, fold
from testing.samples.tile_example import (
    EVENTS,
    HORIZON_MS,
    NOON_MS,
    clock,
    drawing,
    members,
    states,
    table,
    tiles_of,
)

PAGE = (Path(__file__).parents[3] / "docs" / "kernels.md").read_text()
LENGTHS = {SECOND, 5 * SECOND, MINUTE, 20 * MINUTE, 2 * HOUR, 12 * HOUR}


def test_page_and_docstring_show_what_the_kernel_makes_of_the_events():
    lines = drawing()
    assert f"```\n{chr(10).join(lines)}\n```" in PAGE, "see `python -m testing.samples.tile_example`"
    assert "\n".join(f"    {line}" for line in lines) in str(tiled.__doc__)
    assert "\n".join(table(8)) in PAGE


def test_each_tile_adds_up_the_events_in_its_span_and_no_event_is_lost():
    for number, state in enumerate(states(), 1):
        seen = []
        for tile in tiles_of(state):
            cents = [EVENTS[i][1] for i in members(tile) if i < number]
            assert tile[2:] == (len(cents), sum(cents), max(cents))
            assert tile.length_ms in LENGTHS
            seen += [i for i in members(tile) if i < number]
        assert seen == list(range(number))


def test_tiles_only_merge_and_the_example_shows_five_lengths():
    spans = [{(t.start_ms, t.length_ms) for t in tiles_of(state)} for state in states()]
    for before, after in pairwise(spans):
        for start, length in before:
            assert any(s <= start and start + length <= s + n for s, n in after)
    assert [len(tiles) for tiles in spans] == [1, 1, 2, 3, 4, 5, 5, 4, 2, 2]
    assert {n for tiles in spans for _, n in tiles} == LENGTHS - {12 * HOUR}


@pytest.mark.parametrize(("days", "left"), [(8, 12 * HOUR), (31, None)])
def test_the_two_hours_are_a_part_of_twelve_on_day_eight_and_dropped_on_day_thirty_one(days, left):
    later = np.array([(NOON_MS + days * DAY + 5 * HOUR, 100, 11)], np.int64)
    tiles = tiles_of(fold("merchant", states()[-1], later, NO_LABELS, HORIZON_MS))
    first = tiles[0]
    assert (first.length_ms if first.start_ms <= NOON_MS else None) == left


def test_any_order_gives_the_same_bytes():
    rows = np.array([(ts, cents, n) for n, (ts, cents) in enumerate(EVENTS, 1)], np.int64)
    for order in (slice(None), slice(None, None, -1)):
        at_once = fold("merchant", empty("merchant"), rows[order], NO_LABELS, HORIZON_MS)
        np.testing.assert_array_equal(at_once, states()[-1])


def test_the_read_of_the_page_is_what_the_kernel_reads():
    out = np.empty(len(FEATURES), np.float32)
    now = NOON_MS + 9 * MINUTE + 30 * SECOND
    assert clock(now) == "12:09:30"
    assert KERNELS["merchant"].read(states()[7], (now, 700, 99), HORIZON_MS, out)
    cells = re.findall(r"^\| `(merchant_\w+)` \|[^|]*\| (?:.* = )?([\d.]+) \|$", PAGE, re.MULTILINE)
    assert len(cells) == 4
    for name, shown in cells:
        assert out[NAMES.index(name)] == pytest.approx(float(shown), abs=0.005)

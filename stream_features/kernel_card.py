"""The card's state: its recent transactions, exact to the millisecond.

Layout, int64: [KIND, n, newest ts, floor] then n rows (ts, amount, merchant hash, place), sorted by the
whole row, so the bytes depend on the set of events alone. Rows older than `newest - horizon - 30 d` are
gone. Of more than CARD_ROWS rows the oldest are dropped and `floor` is the ts of the newest dropped one:
a window that reaches back to the floor is null, never wrong.
"""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from stream_features.catalogue import CODE, DAY, DISTINCT_CAP

CARD_KIND = 0x31_44_52_41_43_53_46  # "FSCARD1"
HEADER = 4
WIDTH = 4
CARD_ROWS = 2_048
NEVER = -1
MEMORY_MS = 30 * DAY

COUNT, SUM, MEAN, STD, MAX = CODE["count"], CODE["sum"], CODE["mean"], CODE["std"], CODE["max"]
DISTINCT, SINCE, SPEED, RATIO = (
    CODE["distinct_merchants"],
    CODE["since_last"],
    CODE["speed"],
    CODE["ratio_to_mean"],
)

State = npt.NDArray[np.int64]


@njit(cache=True)
def empty_card() -> State:
    """A card never seen."""
    state = np.empty(HEADER, np.int64)
    state[0], state[1], state[2], state[3] = CARD_KIND, 0, NEVER, NEVER
    return state


@njit(cache=True)
def _row_less(a: State, i: int, b: State, j: int) -> bool:
    for k in range(WIDTH):
        if a[i + k] != b[j + k]:
            return a[i + k] < b[j + k]
    return False


@njit(cache=True)
def fold_card(state: State, rows: npt.NDArray[np.int64], horizon_ms: int) -> State:
    """A new state that holds `rows`, shape (m, 4), too. The order of rows and of calls does not matter."""
    n, m = state[1], rows.shape[0]
    newest, floor = state[2], state[3]
    merged = np.empty((n + m) * WIDTH, np.int64)
    merged[: n * WIDTH] = state[HEADER : HEADER + n * WIDTH]
    flat = rows.reshape(m * WIDTH)
    count = n
    for i in range(m):
        newest = max(newest, rows[i, 0])
        at = count
        while at > 0 and _row_less(flat, i * WIDTH, merged, (at - 1) * WIDTH):
            for k in range(WIDTH):
                merged[at * WIDTH + k] = merged[(at - 1) * WIDTH + k]
            at -= 1
        for k in range(WIDTH):
            merged[at * WIDTH + k] = rows[i, k]
        count += 1
    edge = newest - horizon_ms - MEMORY_MS
    start = 0
    while start < count and merged[start * WIDTH] < edge:
        start += 1
    if count - start > CARD_ROWS:
        start = count - CARD_ROWS
        floor = max(floor, merged[(start - 1) * WIDTH])
    if floor < edge:
        floor = NEVER
    kept = count - start
    out = np.empty(HEADER + kept * WIDTH, np.int64)
    out[0], out[1], out[2], out[3] = CARD_KIND, kept, newest, floor
    out[HEADER:] = merged[start * WIDTH : count * WIDTH]
    return out


@njit(cache=True)
def _kilometres(a: int, b: int) -> float:
    """Great-circle distance of two packed places (haversine, mean Earth radius 6,371.0088 km)."""
    lat_a, lat_b = math.radians((a >> 26) / 1e5), math.radians((b >> 26) / 1e5)
    lon_a, lon_b = math.radians((a & 0x3FFFFFF) / 1e5), math.radians((b & 0x3FFFFFF) / 1e5)
    # The stored latitude starts at the south pole, so its cosine is the sine here.
    h = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.sin(lat_a) * math.sin(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, h)))


@njit(cache=True)
def _first_at_or_after(state: State, ts: int) -> int:
    low, high = 0, state[1]
    while low < high:
        middle = (low + high) // 2
        if state[HEADER + middle * WIDTH] < ts:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def read_card(
    state: State,
    spec: npt.NDArray[np.int64],
    now: int,
    horizon_ms: int,
    amount: int,
    merchant: int,
    place: int,
    out: npt.NDArray[np.float64],
) -> bool:
    """Write every card feature at `now` into `out`; the last three arguments are the transaction at hand.

    Returns False, and nulls, where `now` lies beyond the horizon of the state.
    """
    if state[2] != NEVER and now < state[2] - horizon_ms:
        out[:] = np.nan
        return False
    high = _first_at_or_after(state, now)
    seen = np.empty(DISTINCT_CAP, np.int64)
    for f in range(spec.shape[0]):
        code, start = spec[f, 0], now - spec[f, 1]
        if state[3] != NEVER and start <= state[3]:
            out[f] = np.nan
            continue
        low = _first_at_or_after(state, start)
        n = high - low
        if code == COUNT:
            out[f] = n + 1
        elif code in (SUM, MEAN):
            total = amount
            for i in range(low, high):
                total += state[HEADER + i * WIDTH + 1]
            out[f] = float(total) if code == SUM else total / (n + 1)
        elif code == STD:
            total = amount
            for i in range(low, high):
                total += state[HEADER + i * WIDTH + 1]
            mean = total / (n + 1)
            squares = 0.0
            for i in range(low, high):
                squares += (state[HEADER + i * WIDTH + 1] - mean) ** 2
            squares += (amount - mean) ** 2
            out[f] = math.sqrt(squares / (n + 1))
        elif code == MAX:
            largest = amount
            for i in range(low, high):
                largest = max(largest, state[HEADER + i * WIDTH + 1])
            out[f] = largest
        elif code == DISTINCT:
            distinct = 0
            if merchant != 0:
                seen[0] = merchant
                distinct = 1
            for i in range(low, high):
                who = state[HEADER + i * WIDTH + 2]
                if who == 0 or distinct == DISTINCT_CAP:
                    continue
                known = False
                for k in range(distinct):
                    if seen[k] == who:
                        known = True
                        break
                if not known:
                    seen[distinct] = who
                    distinct += 1
            out[f] = distinct
        elif code == SINCE:
            out[f] = (now - state[HEADER + (high - 1) * WIDTH]) / 1000.0 if n > 0 else np.nan
        elif code == SPEED:
            out[f] = np.nan
            if place >= 0:
                for i in range(high - 1, low - 1, -1):
                    there = state[HEADER + i * WIDTH + 3]
                    if there >= 0:
                        hours = (now - state[HEADER + i * WIDTH]) / 3_600_000.0
                        out[f] = _kilometres(there, place) / hours
                        break
        else:  # RATIO: against what lies strictly before
            total = 0
            for i in range(low, high):
                total += state[HEADER + i * WIDTH + 1]
            out[f] = amount * n / total if total > 0 else np.nan
    return True

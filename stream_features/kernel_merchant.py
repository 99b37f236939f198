"""The merchant's state: tiles of transactions that grow coarser with age, and the labels of its transactions.

Layout, int64: [KIND, tiles, labels, newest ts, newest known_at, label floor], then the tiles (start ms,
length ms, count, sum, max) sorted by start, then the labels (transaction hash, known_at, code) sorted.
A tile's length is a function of its time and of `newest` alone, so the bytes depend on the set of events
and not on their order. Tiles merge only where no window, read at any `now` within the horizon, could
tell them apart: the state stays bounded for the hottest merchant, and every answer stays exact.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from stream_features.catalogue import CODE, LABEL_MEMORY, MERCHANT_TAIL, RISK_PRIOR, RISK_WEIGHT

MERCHANT_KIND = 0x31_43_52_45_4D_53_46  # "FSMERC1"
HEADER = 6
TILE = 5
LABEL = 3
LABEL_ROWS = 4_096
NEVER = -1
HEAD_MS = 1_000

WINDOWS = np.array(list(MERCHANT_TAIL.keys()), dtype=np.int64)
LENGTHS = np.array(list(MERCHANT_TAIL.values()), dtype=np.int64)

COUNT, SUM, MEAN, MAX = CODE["count"], CODE["sum"], CODE["mean"], CODE["max"]
RATIO, FRAUD_RATE = CODE["ratio_to_mean"], CODE["fraud_rate"]

State = npt.NDArray[np.int64]


@njit(cache=True)
def empty_merchant() -> State:
    """A merchant never seen."""
    state = np.empty(HEADER, np.int64)
    state[0], state[1], state[2], state[3], state[4], state[5] = MERCHANT_KIND, 0, 0, NEVER, NEVER, NEVER
    return state


@njit(cache=True)
def _length_of(ts: int, newest: int, horizon_ms: int) -> int:
    """Length of the tile that holds `ts`: the longest that lies before all that finer windows may cut."""
    for level in range(LENGTHS.shape[0] - 1, 0, -1):
        end = (ts // LENGTHS[level] + 1) * LENGTHS[level]
        finer = LENGTHS[level - 1]
        edge = (newest - horizon_ms - WINDOWS[level - 1]) // finer * finer
        if end <= edge:
            return LENGTHS[level]
    return LENGTHS[0]


@njit(cache=True)
def _fold_tiles(
    state: State, rows: npt.NDArray[np.int64], newest: int, horizon_ms: int
) -> npt.NDArray[np.int64]:
    n, m = state[1], rows.shape[0]
    tiles = np.empty((n + m, TILE), np.int64)
    last = LENGTHS.shape[0] - 1
    gone = (newest - horizon_ms - WINDOWS[last]) // LENGTHS[last] * LENGTHS[last]
    count = 0
    for i in range(n + m):
        if i < n:
            base = HEADER + i * TILE
            ts, length = state[base], state[base + 1]
            number, total, largest = state[base + 2], state[base + 3], state[base + 4]
        else:
            ts, length = rows[i - n, 0], 0
            number, total, largest = 1, rows[i - n, 1], rows[i - n, 1]
        length = max(length, _length_of(ts, newest, horizon_ms))
        start = ts // length * length
        if start + length <= gone:
            continue
        at = count
        while at > 0 and tiles[at - 1, 0] > start:
            at -= 1
        if at > 0 and tiles[at - 1, 0] == start:
            tiles[at - 1, 1] = length
            tiles[at - 1, 2] += number
            tiles[at - 1, 3] += total
            tiles[at - 1, 4] = max(tiles[at - 1, 4], largest)
            continue
        for j in range(count, at, -1):
            tiles[j] = tiles[j - 1]
        tiles[at, 0], tiles[at, 1], tiles[at, 2], tiles[at, 3], tiles[at, 4] = (
            start,
            length,
            number,
            total,
            largest,
        )
        count += 1
    return tiles[:count]


@njit(cache=True)
def _label_less(a: npt.NDArray[np.int64], i: int, b: npt.NDArray[np.int64], j: int) -> bool:
    for k in range(LABEL):
        if a[i, k] != b[j, k]:
            return a[i, k] < b[j, k]
    return False


@njit(cache=True)
def _fold_labels(
    state: State, rows: npt.NDArray[np.int64], newest: int, horizon_ms: int
) -> tuple[npt.NDArray[np.int64], int]:
    n, m = state[2], rows.shape[0]
    base = HEADER + state[1] * TILE
    labels = np.empty((n + m, LABEL), np.int64)
    for i in range(n):
        for k in range(LABEL):
            labels[i, k] = state[base + i * LABEL + k]
    count = n
    for i in range(m):
        at = count
        while at > 0 and _label_less(rows, i, labels, at - 1):
            at -= 1
        if at > 0 and not _label_less(labels, at - 1, rows, i):
            continue  # the same label again
        for j in range(count, at, -1):
            labels[j] = labels[j - 1]
        labels[at] = rows[i]
        count += 1
    edge = newest - horizon_ms - HEAD_MS - LABEL_MEMORY  # a read rounds its now down
    floor = state[5]
    times = np.sort(labels[:count, 1])
    old = np.searchsorted(times, edge)
    if count - old > LABEL_ROWS:
        cut = times[count - LABEL_ROWS - 1]
        floor = max(floor, cut)
    if floor < edge:
        floor = NEVER
    kept = 0
    for i in range(count):
        if labels[i, 1] >= edge and labels[i, 1] > floor:
            labels[kept] = labels[i]
            kept += 1
    return labels[:kept], floor


@njit(cache=True)
def fold_merchant(
    state: State, rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], horizon_ms: int
) -> State:
    """A new state that holds transactions `rows`, shape (m, 2), and `labels`, shape (k, 3), too."""
    newest, newest_label = state[3], state[4]
    for i in range(rows.shape[0]):
        newest = max(newest, rows[i, 0])
    for i in range(labels.shape[0]):
        newest_label = max(newest_label, labels[i, 1])
    tiles = _fold_tiles(state, rows, newest, horizon_ms)
    known, floor = _fold_labels(state, labels, newest_label, horizon_ms)
    t, k = tiles.shape[0], known.shape[0]
    out = np.empty(HEADER + t * TILE + k * LABEL, np.int64)
    out[0], out[1], out[2], out[3], out[4], out[5] = MERCHANT_KIND, t, k, newest, newest_label, floor
    out[HEADER : HEADER + t * TILE] = tiles.copy().reshape(t * TILE)
    out[HEADER + t * TILE :] = known.copy().reshape(k * LABEL)
    return out


@njit(cache=True)
def _known_frauds(state: State, low: int, high: int) -> int:
    """Transactions known as fraud before `high` whose first fraud label lies in [low, high)."""
    memory = high - LABEL_MEMORY
    base = HEADER + state[1] * TILE
    frauds = 0
    i, n = 0, state[2]
    while i < n:
        tx = state[base + i * LABEL]
        first, verdict_at, verdict = NEVER, NEVER, 0
        while i < n and state[base + i * LABEL] == tx:
            known_at, code = state[base + i * LABEL + 1], state[base + i * LABEL + 2]
            if memory <= known_at < high:
                if code % 2 == 1 and first == NEVER:
                    first = known_at
                if known_at >= verdict_at:  # rows are sorted, so of equal times the higher rank comes last
                    verdict_at, verdict = known_at, code % 2
            i += 1
        if verdict == 1 and first >= low:
            frauds += 1
    return frauds


@njit(cache=True)
def read_merchant(
    state: State,
    spec: npt.NDArray[np.int64],
    now: int,
    horizon_ms: int,
    amount: int,
    out: npt.NDArray[np.float64],
) -> bool:
    """Write every merchant feature at `now` into `out`; `amount` is the transaction at hand.

    Returns False, and nulls, where `now` lies beyond the horizon of the state.
    """
    if (state[3] != NEVER and now < state[3] - horizon_ms) or (
        state[4] != NEVER and now < state[4] - horizon_ms
    ):
        out[:] = np.nan
        return False
    for f in range(spec.shape[0]):
        code, window, tail, head = spec[f, 0], spec[f, 1], spec[f, 2], spec[f, 3]
        low = (now - window) // tail * tail
        high = now // head * head
        count, total, largest = 0, 0, 0
        for i in range(state[1] - 1, -1, -1):
            base = HEADER + i * TILE
            start = state[base]
            if start < low:
                break
            if start < high:
                count += state[base + 2]
                total += state[base + 3]
                largest = max(largest, state[base + 4])
        if code == COUNT:
            out[f] = count + 1
        elif code == SUM:
            out[f] = total + amount
        elif code == MEAN:
            out[f] = (total + amount) / (count + 1)
        elif code == MAX:
            out[f] = max(largest, amount)
        elif code == RATIO:
            out[f] = amount * count / total if total > 0 else np.nan
        elif state[5] != NEVER and high - LABEL_MEMORY <= state[5]:  # FRAUD_RATE, labels over their bound
            out[f] = np.nan
        else:  # FRAUD_RATE
            out[f] = (_known_frauds(state, low, high) + RISK_WEIGHT * RISK_PRIOR) / (count + RISK_WEIGHT)
    return True

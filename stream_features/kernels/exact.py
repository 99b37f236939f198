"""The state of a card or a device: its recent transactions, exact to the millisecond.

Layout, int64: [kind, n, newest ts, floor] then n rows (ts, amount, counterpart hash, another's, place),
sorted by the whole row, so the bytes depend on the set of events alone. Rows older than the memory (horizon
and longest window) behind the newest are gone. Of more rows than the bound the oldest are dropped and
`floor` is the ts of the newest dropped one: a window that reaches back to the floor is null, never wrong.

Nothing of the catalogue is frozen into the compiled code, whose cache would not notice a change; for the
same reason, what is compiled together stands in this one file.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from stream_features.kernels.seen_set import WORDS, add

HEADER = 4
WIDTH = 5
NEVER = -1

COUNT, SUM, MEAN, STD, MAX, DISTINCT, SAME, SINCE, SPEED, RATIO = range(10)
CODES = {
    "count": COUNT,
    "sum": SUM,
    "mean": MEAN,
    "std": STD,
    "max": MAX,
    "distinct": DISTINCT,
    "same": SAME,
    "since_last": SINCE,
    "speed": SPEED,
    "ratio_to_mean": RATIO,
}

Words = npt.NDArray[np.int64]
State = Words


def empty_exact(kind: int) -> State:
    """A key never seen."""
    state = np.empty(HEADER, np.int64)
    state[0], state[1], state[2], state[3] = kind, 0, NEVER, NEVER
    return state


@njit(cache=True)
def _row_less(rows: Words, i: int, words: Words, at: int) -> bool:
    for k in range(WIDTH):
        if rows[i, k] != words[at + k]:
            return rows[i, k] < words[at + k]
    return False


@njit(cache=True)
def fold_exact(state: State, rows: Words, memory_ms: int, bound: int) -> State:
    """A new state that holds `rows`, shape (m, 5), too. The order of rows and of calls does not matter.

    One that is in order is appended; a late one moves what lies behind it.
    """
    n, m = state[1], rows.shape[0]
    newest, floor = state[2], state[3]
    oldest = np.iinfo(np.int64).max
    for i in range(m):
        newest = max(newest, rows[i, 0])
        oldest = min(oldest, rows[i, 0])
    edge = newest - memory_ms
    start = 0
    while start < n and state[HEADER + start * WIDTH] < edge:
        start += 1
    over = n - start + m - bound
    if 0 < over <= n - start and oldest > max(edge, state[HEADER + (start + over - 1) * WIDTH]):
        start += over  # what will be dropped need not be copied first
        floor = max(floor, state[HEADER + (start - 1) * WIDTH])
    out = np.empty(HEADER + (n - start + m) * WIDTH, np.int64)
    end = HEADER + (n - start) * WIDTH
    out[HEADER:end] = state[HEADER + start * WIDTH : HEADER + n * WIDTH]
    for i in range(m):
        if rows[i, 0] < edge:
            continue
        at = end
        while at > HEADER and _row_less(rows, i, out, at - WIDTH):
            for k in range(WIDTH):
                out[at + k] = out[at - WIDTH + k]
            at -= WIDTH
        for k in range(WIDTH):
            out[at + k] = rows[i, k]
        end += WIDTH
    kept = (end - HEADER) // WIDTH
    if kept > bound:
        cut = HEADER + (kept - bound) * WIDTH
        floor = max(floor, out[cut - WIDTH])
        kept = bound
        shorter = np.empty(HEADER + bound * WIDTH, np.int64)
        shorter[HEADER:] = out[cut:end]
        out = shorter
    elif end < out.shape[0]:
        out = out[:end].copy()
    if floor < edge:
        floor = NEVER
    out[0], out[1], out[2], out[3] = state[0], kept, newest, floor
    return out


@njit(cache=True)
def fold_many_exact(
    words: Words, sizes: Words, rows: Words, counts: Words, memory_ms: int, bound: int
) -> tuple[Words, Words]:
    """`fold_exact` for many keys in one call.

    Args:
        words: the states, one after the other, of so many words each as `sizes` says, shape (n,); one of no
            words stays so, and its rows are left out.
        rows: shape (m, 5), key by key, of each so many as `counts` says, shape (n,).

    Returns the new states, one after the other, and their sizes.
    """
    out = np.empty(words.shape[0] + rows.shape[0] * WIDTH, np.int64)
    out_sizes = np.zeros(sizes.shape[0], np.int64)
    at, row, end = 0, 0, 0
    for i in range(sizes.shape[0]):
        if sizes[i] > 0:
            new = fold_exact(words[at : at + sizes[i]], rows[row : row + counts[i]], memory_ms, bound)
            out[end : end + new.shape[0]] = new
            out_sizes[i] = new.shape[0]
            end += new.shape[0]
        at += sizes[i]
        row += counts[i]
    return out[:end], out_sizes


@njit(cache=True)
def _kilometres(a: int, b: int) -> float:
    """Great-circle distance of two packed places (haversine, mean Earth radius 6,371.0088 km)."""
    # Whole steps are subtracted: of places some metres apart, radians would leave 8 digits.
    half_lat = math.radians(((b >> 26) - (a >> 26)) / 1e5) / 2
    half_lon = math.radians(((b & 0x3FFFFFF) - (a & 0x3FFFFFF)) / 1e5) / 2
    # The stored latitude starts at the south pole, so its cosine is the sine here.
    narrowing = math.sin(math.radians((a >> 26) / 1e5)) * math.sin(math.radians((b >> 26) / 1e5))
    h = math.sin(half_lat) ** 2 + narrowing * math.sin(half_lon) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, h)))


@njit(cache=True)
def walk_exact(
    rows: Words,
    first: int,
    last: int,
    floor: int,
    spec: Words,
    now: int,
    amount: int,
    one: int,
    other: int,
    place: int,
    cap: int,
    out: npt.NDArray[np.float32],
) -> None:
    """Every feature of `spec` at `now`, by one walk from the newest of `rows[first:last]` backwards.

    `rows` are flat words, five a row, sorted. `spec`, shape (n, 4), is (code, window ms, which counterpart,
    place in `out`) by ascending window: where the walk leaves a window, its features are what has been
    gathered so far. `amount` to `place` are the transaction at hand.
    """
    seen = np.zeros(2 * WORDS, np.int64)
    distinct_one, distinct_other = 0, 0
    if one != 0 and add(seen, 0, one):
        distinct_one = 1
    if other != 0 and add(seen, WORDS, other):
        distinct_other = 1
    count, total, largest, same_one, same_other = 0, 0, amount, 0, 0
    # Of differences from the amount at hand: their squares add up exactly below 2^53, and above it the
    # subtraction at the end is well conditioned, since one of the values is 0 (Chan, Golub, LeVeque 1983).
    shifted, squares = 0, 0.0
    i = last - 1
    while i >= first and rows[i * WIDTH] >= now:
        i -= 1
    before, placed = i, NEVER
    f, features = 0, spec.shape[0]
    while f < features:
        window = spec[f, 1]
        start = now - window
        while i >= first and rows[i * WIDTH] >= start:
            at = i * WIDTH
            its_amount, its_one, its_other = rows[at + 1], rows[at + 2], rows[at + 3]
            count += 1
            total += its_amount
            largest = max(largest, its_amount)
            difference = its_amount - amount
            shifted += difference
            squares += float(difference) * float(difference)
            if its_one != 0:
                if its_one == one:
                    same_one += 1
                elif distinct_one < cap and add(seen, 0, its_one):
                    distinct_one += 1
            if its_other != 0:
                if its_other == other:
                    same_other += 1
                elif distinct_other < cap and add(seen, WORDS, its_other):
                    distinct_other += 1
            if placed < 0 and rows[at + 4] >= 0:
                placed = i
            i -= 1
        null = floor != NEVER and start <= floor
        while f < features and spec[f, 1] == window:
            code, which, target = spec[f, 0], spec[f, 2], spec[f, 3]
            f += 1
            value = np.nan
            if null:
                pass
            elif code == COUNT:
                value = float(count + 1)
            elif code == SUM:
                value = float(total + amount)
            elif code == MEAN:
                value = (total + amount) / (count + 1)
            elif code == STD:
                n = float(count + 1)
                value = math.sqrt(max(0.0, squares / n - (shifted / n) ** 2))
            elif code == MAX:
                value = float(largest)
            elif code == DISTINCT:
                value = float(distinct_one if which == 0 else distinct_other)
            elif code == SAME:
                if which == 0 and one != 0:
                    value = float(same_one)
                elif which == 1 and other != 0:
                    value = float(same_other)
            elif code == SINCE:
                if count > 0:
                    value = (now - rows[before * WIDTH]) / 1000.0
            elif code == SPEED:
                if placed >= 0 and place >= 0:
                    hours = (now - rows[placed * WIDTH]) / 3_600_000.0
                    value = _kilometres(rows[placed * WIDTH + 4], place) / hours
            elif total > 0:  # RATIO: against what lies strictly before
                value = amount * count / total
            out[target] = value


@njit(cache=True)
def read_exact(
    state: State,
    spec: Words,
    horizon_ms: int,
    now: int,
    amount: int,
    one: int,
    other: int,
    place: int,
    cap: int,
    out: npt.NDArray[np.float32],
) -> bool:
    """Write every feature of `spec` at `now` into `out`, as `walk_exact` does.

    Returns False, and writes nulls, where `now` lies beyond the horizon of the state.
    """
    if state[2] != NEVER and now < state[2] - horizon_ms:
        for f in range(spec.shape[0]):
            out[spec[f, 3]] = np.nan
        return False
    walk_exact(state[HEADER:], 0, state[1], state[3], spec, now, amount, one, other, place, cap, out)
    return True


@njit(cache=True)
def read_many_exact(
    words: Words,
    sizes: Words,
    rows: Words,
    counts: Words,
    asked: Words,
    kind: int,
    spec: Words,
    horizon_ms: int,
    memory_ms: int,
    bound: int,
    cap: int,
    out: Any,
    whole: npt.NDArray[np.bool_],
) -> None:
    """The features of many transactions, each at its own ts, from states as they were stored.

    States and the rows that they still lack stand as in `fold_many_exact`. A line of `asked`, shape
    (n, 2 + 5), is (number of the key, place, the transaction's row), by ascending number; its features go
    into row `place` of `out`, shape (m, features). `whole[place]` becomes False where the state is none of
    this `kind`, or cannot answer as far back.
    """
    at, row, line = 0, 0, 0
    for k in range(sizes.shape[0]):
        size, state = sizes[k], words[at : at + sizes[k]]
        sound = size >= HEADER and state[0] == kind and size == HEADER + WIDTH * state[1]
        if sound and counts[k] > 0:
            state = fold_exact(state, rows[row : row + counts[k]], memory_ms, bound)
        at += size
        row += counts[k]
        while line < asked.shape[0] and asked[line, 0] == k:
            place = asked[line, 1]
            if not sound or not read_exact(
                state, spec, horizon_ms, asked[line, 2], asked[line, 3], asked[line, 4], asked[line, 5],
                asked[line, 6], cap, out[place],
            ):  # fmt: skip
                whole[place] = False
            line += 1


@njit(cache=True)
def _in_state_order(rows: Words, order: Words, first: int, last: int) -> None:
    """Put rows of one instant, which are next to each other, in the order of the whole row."""
    for i in range(first + 1, last):
        at = i
        while at > first and rows[at, 0] == rows[at - 1, 0]:
            k = 1
            while k < WIDTH and rows[at, k] == rows[at - 1, k]:
                k += 1
            if k == WIDTH or rows[at, k] > rows[at - 1, k]:
                break
            for j in range(1, WIDTH):
                rows[at, j], rows[at - 1, j] = rows[at - 1, j], rows[at, j]
            order[at], order[at - 1] = order[at - 1], order[at]
            at -= 1


@njit(cache=True)
def bulk_exact(
    rows: Words, order: Words, starts: Words, spec: Words, bound: int, lag_ms: int, cap: int, out: Any
) -> None:
    """Every row's features as of its own time; rows are grouped by key, in time order within.

    Row i is transaction `order[i]`, whose features are row `order[i]` of `out`, shape (n, features). The
    rows themselves are the state: of each key the `bound` newest, as `fold_exact` keeps them.
    """
    flat = rows.reshape(rows.shape[0] * WIDTH)
    for group in range(starts.shape[0] - 1):
        begin, end = starts[group], starts[group + 1]
        _in_state_order(rows, order, begin, end)
        folded = begin
        for i in range(begin, end):
            now = rows[i, 0]
            while rows[folded, 0] < now - lag_ms:
                folded += 1
            first = max(begin, folded - bound)
            floor = rows[first - 1, 0] if first > begin else NEVER
            walk_exact(
                flat, first, folded, floor, spec, now,
                rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], cap, out[order[i]],
            )  # fmt: skip

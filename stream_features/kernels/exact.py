"""The state of a card or a device: its recent transactions, exact to the millisecond.

Layout, int64: [kind, n, newest ts, floor], then n rows (ts ms, amount cents, hashes of the first and the
second counterpart, location code), sorted by all five words, so the bytes depend on the set of events alone.
Rows further behind the newest than the memory (horizon and longest window) are dropped. Of more rows than the
bound the oldest are dropped, and `floor` is the ts of the newest dropped one: a window that reaches back to
the floor is null, never wrong.

numba's cache notices changes of a function's own file only. So windows, bounds and caps of the catalogue are
arguments, and the functions that call each other stand in this file. Compiled in are the layout and codes
below, the Earth's radius and the steps of a location (the catalogue has both for the other engines), and
`seen_set.add`: after a change there, change a line here too.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from fraudsim.arrays import Flags, Floats, Ints
from stream_features.kernels.seen_set import WORDS, add
from stream_features.kernels.tumbling import tumble

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


def empty_exact(kind: int) -> Ints:
    """The state of a key never seen."""
    state = np.empty(HEADER, np.int64)
    state[0], state[1], state[2], state[3] = kind, 0, NEVER, NEVER
    return state


@njit(cache=True)
def _row_less(rows: Ints, i: int, words: Ints, begin: int) -> bool:
    for k in range(WIDTH):
        if rows[i, k] != words[begin + k]:
            return rows[i, k] < words[begin + k]
    return False


@njit(cache=True)
def fold_exact(state: Ints, rows: Ints, memory_ms: int, bound: int) -> Ints:
    """A new state with `rows`, shape (m, 5), added. The order of rows and of calls does not matter.

    A row in order is appended; a late one moves the rows after it.
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
    surplus = n - start + m - bound
    if 0 < surplus <= n - start and oldest > max(edge, state[HEADER + (start + surplus - 1) * WIDTH]):
        start += surplus  # rows that would be dropped are not copied
        floor = max(floor, state[HEADER + (start - 1) * WIDTH])
    out = np.empty(HEADER + (n - start + m) * WIDTH, np.int64)
    end = HEADER + (n - start) * WIDTH
    out[HEADER:end] = state[HEADER + start * WIDTH : HEADER + n * WIDTH]
    for i in range(m):
        if rows[i, 0] < edge:
            continue
        index = end
        while index > HEADER and _row_less(rows, i, out, index - WIDTH):
            for k in range(WIDTH):
                out[index + k] = out[index - WIDTH + k]
            index -= WIDTH
        for k in range(WIDTH):
            out[index + k] = rows[i, k]
        end += WIDTH
    row_count = (end - HEADER) // WIDTH
    if row_count > bound:
        cut = HEADER + (row_count - bound) * WIDTH
        floor = max(floor, out[cut - WIDTH])
        row_count = bound
        newest_rows = np.empty(HEADER + bound * WIDTH, np.int64)
        newest_rows[HEADER:] = out[cut:end]
        out = newest_rows
    elif end < out.shape[0]:
        out = out[:end].copy()
    if floor < edge:
        floor = NEVER
    out[0], out[1], out[2], out[3] = state[0], row_count, newest, floor
    return out


@njit(cache=True)
def fold_many_exact(
    words: Ints, sizes: Ints, rows: Ints, counts: Ints, memory_ms: int, bound: int
) -> tuple[Ints, Ints]:
    """`fold_exact` for many keys in one call.

    Args:
        words: the states, one after the other.
        sizes: words of each state, shape (n,); an empty state stays empty, and its rows are ignored.
        rows: shape (m, 5), key by key.
        counts: rows of each key, shape (n,).

    Returns the new states, one after the other, and their sizes.
    """
    out = np.empty(words.shape[0] + rows.shape[0] * WIDTH, np.int64)
    out_sizes = np.zeros(sizes.shape[0], np.int64)
    begin, row, end = 0, 0, 0
    for i in range(sizes.shape[0]):
        if sizes[i] > 0:
            new = fold_exact(words[begin : begin + sizes[i]], rows[row : row + counts[i]], memory_ms, bound)
            out[end : end + new.shape[0]] = new
            out_sizes[i] = new.shape[0]
            end += new.shape[0]
        begin += sizes[i]
        row += counts[i]
    return out[:end], out_sizes


@njit(cache=True)
def _kilometres(a: int, b: int) -> float:
    """Great-circle distance between two location codes (haversine, mean Earth radius 6,371.0088 km)."""
    # Subtract in whole steps: for locations metres apart, a difference of radians would keep only 8 digits.
    half_lat = math.radians(((b >> 26) - (a >> 26)) / 1e5) / 2
    half_lon = math.radians(((b & 0x3FFFFFF) - (a & 0x3FFFFFF)) / 1e5) / 2
    # The stored latitude counts from the south pole, so the formula's cosine is a sine here.
    narrowing = math.sin(math.radians((a >> 26) / 1e5)) * math.sin(math.radians((b >> 26) / 1e5))
    h = math.sin(half_lat) ** 2 + narrowing * math.sin(half_lon) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, h)))


@njit(cache=True)
def walk_exact(
    rows: Ints,
    first: int,
    last: int,
    floor: int,
    spec: Ints,
    now: int,
    amount: int,
    first_counterpart: int,
    second_counterpart: int,
    location: int,
    cap: int,
    out: Floats,
) -> None:
    """Every feature of `spec` at `now`, by one walk backwards from the newest of `rows[first:last]`.

    Args:
        rows: flat words, five a row, sorted.
        floor: ts of the newest dropped row, or NEVER.
        spec: shape (n, 4), (code, window ms, counterpart index, index in `out`) by ascending window. Where
            the walk leaves a window, the sums so far give its features.
        amount, first_counterpart, second_counterpart, location: those of the transaction at hand.
        cap: most that a distinct count tells.
        out: the vector, written at the indexes of `spec`.
    """
    members = np.zeros(2 * WORDS, np.int64)
    distinct_first, distinct_second = 0, 0
    if first_counterpart != 0 and add(members, 0, first_counterpart):
        distinct_first = 1
    if second_counterpart != 0 and add(members, WORDS, second_counterpart):
        distinct_second = 1
    count, total, largest, same_first, same_second = 0, 0, amount, 0, 0
    # Differences from the amount at hand: below 2^53 their squares add up exactly, and above it the
    # subtraction at the end is well conditioned, since one of the values is 0 (Chan, Golub, LeVeque 1983).
    difference_sum, square_sum = 0, 0.0
    i = last - 1
    while i >= first and rows[i * WIDTH] >= now:
        i -= 1
    previous, last_located = i, NEVER
    f, features = 0, spec.shape[0]
    while f < features:
        window = spec[f, 1]
        start = now - window
        while i >= first and rows[i * WIDTH] >= start:
            index = i * WIDTH
            row_amount, row_first, row_second = rows[index + 1], rows[index + 2], rows[index + 3]
            count += 1
            total += row_amount
            largest = max(largest, row_amount)
            difference = row_amount - amount
            difference_sum += difference
            square_sum += float(difference) * float(difference)
            if row_first != 0:
                if row_first == first_counterpart:
                    same_first += 1
                elif distinct_first < cap and add(members, 0, row_first):
                    distinct_first += 1
            if row_second != 0:
                if row_second == second_counterpart:
                    same_second += 1
                elif distinct_second < cap and add(members, WORDS, row_second):
                    distinct_second += 1
            if last_located < 0 and rows[index + 4] >= 0:
                last_located = i
            i -= 1
        is_null = floor != NEVER and start <= floor
        while f < features and spec[f, 1] == window:
            code, counterpart_index, out_index = spec[f, 0], spec[f, 2], spec[f, 3]
            f += 1
            value = np.nan
            if is_null:
                pass
            elif code == COUNT:
                value = float(count + 1)
            elif code == SUM:
                value = float(total + amount)
            elif code == MEAN:
                value = (total + amount) / (count + 1)
            elif code == STD:
                n = float(count + 1)
                value = math.sqrt(max(0.0, square_sum / n - (difference_sum / n) ** 2))
            elif code == MAX:
                value = float(largest)
            elif code == DISTINCT:
                value = float(distinct_first if counterpart_index == 0 else distinct_second)
            elif code == SAME:
                if counterpart_index == 0 and first_counterpart != 0:
                    value = float(same_first)
                elif counterpart_index == 1 and second_counterpart != 0:
                    value = float(same_second)
            elif code == SINCE:
                if count > 0:
                    value = (now - rows[previous * WIDTH]) / 1000.0
            elif code == SPEED:
                if last_located >= 0 and location >= 0:
                    hours = (now - rows[last_located * WIDTH]) / 3_600_000.0
                    value = _kilometres(rows[last_located * WIDTH + 4], location) / hours
            elif total > 0:  # RATIO: to the mean of the earlier transactions
                value = amount * count / total
            out[out_index] = value


@njit(cache=True)
def read_exact(
    state: Ints,
    spec: Ints,
    horizon_ms: int,
    now: int,
    amount: int,
    first_counterpart: int,
    second_counterpart: int,
    location: int,
    cap: int,
    out: Floats,
) -> bool:
    """Write every feature of `spec` at `now` into `out`, as `walk_exact` does.

    Returns False, and writes nulls, where `now` lies beyond the state's horizon.
    """
    if state[2] != NEVER and now < state[2] - horizon_ms:
        for f in range(spec.shape[0]):
            out[spec[f, 3]] = np.nan
        return False
    walk_exact(
        state[HEADER:],
        0,
        state[1],
        state[3],
        spec,
        now,
        amount,
        first_counterpart,
        second_counterpart,
        location,
        cap,
        out,
    )
    return True


@njit(cache=True)
def read_many_exact(
    words: Ints,
    sizes: Ints,
    rows: Ints,
    counts: Ints,
    requests: Ints,
    kind: int,
    spec: Ints,
    horizon_ms: int,
    memory_ms: int,
    bound: int,
    cap: int,
    out: Any,
    complete: Flags,
) -> None:
    """The features of many transactions, each at its own ts, from stored states.

    Args:
        words, sizes, rows, counts: the states, and the rows that they still lack, as for `fold_many_exact`.
        requests: shape (n, 2 + 5), (key number, row of `out`, the transaction's row), by key number.
        kind: first word of a readable state.
        out: shape (m, features).
        complete: shape (m,); set to False at a request's row of `out` where the state is unreadable or `now`
            lies beyond its horizon.
    """
    begin, row, line = 0, 0, 0
    for k in range(sizes.shape[0]):
        size, state = sizes[k], words[begin : begin + sizes[k]]
        is_readable = size >= HEADER and state[0] == kind and size == HEADER + WIDTH * state[1]
        if is_readable and counts[k] > 0:
            state = fold_exact(state, rows[row : row + counts[k]], memory_ms, bound)
        begin += size
        row += counts[k]
        while line < requests.shape[0] and requests[line, 0] == k:
            out_row = requests[line, 1]
            if not is_readable or not read_exact(
                state, spec, horizon_ms, requests[line, 2], requests[line, 3], requests[line, 4],
                requests[line, 5], requests[line, 6], cap, out[out_row],
            ):  # fmt: skip
                complete[out_row] = False
            line += 1


@njit(cache=True)
def _in_state_order(rows: Ints, order: Ints, first: int, last: int) -> None:
    """Sort rows of equal ts, which are adjacent, by the remaining words; `order` follows."""
    for i in range(first + 1, last):
        index = i
        while index > first and rows[index, 0] == rows[index - 1, 0]:
            k = 1
            while k < WIDTH and rows[index, k] == rows[index - 1, k]:
                k += 1
            if k == WIDTH or rows[index, k] > rows[index - 1, k]:
                break
            for j in range(1, WIDTH):
                rows[index, j], rows[index - 1, j] = rows[index - 1, j], rows[index, j]
            order[index], order[index - 1] = order[index - 1], order[index]
            index -= 1


@njit(cache=True)
def bulk_exact(
    rows: Ints,
    order: Ints,
    starts: Ints,
    seen_to: Ints,
    read_at: Ints,
    spec: Ints,
    bound: int,
    tumbling: bool,
    cap: int,
    out: Any,
) -> None:
    """Every row's features from the rows of its key before `seen_to`, in windows that end at `read_at`.

    The rows themselves serve as the state: of each key the `bound` newest, as `fold_exact` keeps them.

    Args:
        rows: shape (n, 5), grouped by key, in time order within a key.
        order: transaction index of each row, shape (n,); a negative one is not read, only seen.
        starts: first row of each key, and n at the end.
        seen_to, read_at: by row, shape (n,), ms; equal for rows of equal ts, ascending within a key.
        tumbling: whether a window begins at the last multiple of its length instead.
        out: shape (n, features); row `order[i]` receives the features of row i.
    """
    flat = rows.reshape(rows.shape[0] * WIDTH)
    row_spec = spec.copy()
    for group in range(starts.shape[0] - 1):
        begin, end = starts[group], starts[group + 1]
        _in_state_order(rows, order, begin, end)
        folded_end = begin
        for i in range(begin, end):
            if order[i] < 0:
                continue
            while folded_end < end and rows[folded_end, 0] < seen_to[i]:
                folded_end += 1
            first = max(begin, folded_end - bound)
            floor = rows[first - 1, 0] if first > begin else NEVER
            if tumbling:
                tumble(spec, row_spec, read_at[i])
            walk_exact(
                flat, first, folded_end, floor, row_spec, read_at[i],
                rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], cap, out[order[i]],
            )  # fmt: skip

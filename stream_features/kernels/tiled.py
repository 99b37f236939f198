"""The state of a merchant or an address: tiles that grow coarser with age, who was seen, and labels.

Layout, int64: [kind, tiles, seen, labels, newest ts, newest known_at, label floor], then the tiles (start
ms, length ms, count, sum, max) sorted by start, then whom it saw (second ms, counterpart hash), then the
labels (transaction hash, known_at, code) sorted. A tile's length is a function of its time and of `newest`
alone, so the bytes depend on the set of events and not on their order. Tiles merge only where no window,
read at any `now` within the horizon, could tell them apart: the state stays bounded for the hottest key,
and every answer stays exact.

Whom it saw stands apart from the tiles, because every window ends at `now`: of those seen before the
horizon the `cap` most recent counterparts, each at its last second, tell min(cap, distinct) of every
window. Of the seconds within the horizon, where a read may end, the `cap` smallest hashes of each are kept.
The order is (second ascending, hash descending), so that a walk from the end meets what is kept first.

Nothing of the catalogue is frozen into the compiled code, whose cache would not notice a change; for the
same reason, what is compiled together stands in this one file.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import register_jitable

from stream_features.kernels.seen_set import WORDS, add

HEADER = 7
WIDTH = 3
TILE = 5
SEEN = 2
LABEL = 3
NEVER = -1

COUNT, SUM, MEAN, MAX, DISTINCT, RATIO, FRAUD_RATE = range(7)
CODES = {
    "count": COUNT,
    "sum": SUM,
    "mean": MEAN,
    "max": MAX,
    "distinct": DISTINCT,
    "ratio_to_mean": RATIO,
    "fraud_rate": FRAUD_RATE,
}

Words = npt.NDArray[np.int64]
State = Words


@register_jitable
def empty_tiled(kind: int) -> State:
    """A key never seen."""
    state = np.empty(HEADER, np.int64)
    state[0], state[1], state[2], state[3] = kind, 0, 0, 0
    state[4], state[5], state[6] = NEVER, NEVER, NEVER
    return state


@njit(cache=True)
def _first_from(words: Words, base: int, width: int, low: int, high: int, value: int) -> int:
    """Of the entries `low` to `high` - 1, sorted by their first word: the first of at least `value`."""
    while low < high:
        middle = (low + high) // 2
        if words[base + middle * width] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _age(levels: Words, level: int, newest: int, horizon_ms: int) -> int:
    """Before this time tiles have at least the length of `level`: no finer window can cut them any more."""
    finer, length = levels[level - 1, 1], levels[level, 1]
    edge = (newest - horizon_ms - levels[level - 1, 0]) // finer * finer
    return edge // length * length


@njit(cache=True)
def _fold_tiles(
    out: Words, state: State, rows: Words, levels: Words, newest: int, horizon_ms: int, gone: int
) -> int:
    """Write the new tiles into `out` behind the header; their number."""
    n, last = state[1], levels.shape[0] - 1
    ages = np.empty(last + 1, np.int64)
    unchanged = newest + 1  # what starts before it keeps its length
    for level in range(1, last + 1):
        ages[level] = _age(levels, level, newest, horizon_ms)
        if n > 0:
            old = _age(levels, level, state[4], horizon_ms)
            if old < ages[level]:
                unchanged = min(unchanged, old)
    first = 0
    while first < n and state[HEADER + first * TILE] < gone:
        first += 1
    low = _first_from(state, HEADER, TILE, first, n, unchanged)
    count = low - first
    out[HEADER : HEADER + count * TILE] = state[HEADER + first * TILE : HEADER + low * TILE]
    for i in range(low, n + rows.shape[0]):
        if i < n:
            base = HEADER + i * TILE
            ts = state[base]
            number, total, largest = state[base + 2], state[base + 3], state[base + 4]
        else:
            ts = rows[i - n, 0]
            if ts < gone:
                continue
            number, total, largest = 1, rows[i - n, 1], rows[i - n, 1]
        length = levels[0, 1]
        for level in range(last, 0, -1):
            if ts < ages[level]:
                length = levels[level, 1]
                break
        start = ts // length * length
        at = HEADER + (count - 1) * TILE
        while at >= HEADER and out[at] > start:
            at -= TILE
        if at >= HEADER and out[at] == start:
            out[at + 2] += number
            out[at + 3] += total
            out[at + 4] = max(out[at + 4], largest)
            continue
        at += TILE
        for j in range(HEADER + count * TILE - 1, at - 1, -1):
            out[j + TILE] = out[j]
        out[at], out[at + 1], out[at + 2], out[at + 3], out[at + 4] = start, length, number, total, largest
        count += 1
    return count


@njit(cache=True)
def _fold_seen(
    out: Words,
    begin: int,
    state: State,
    rows: Words,
    head: int,
    edge: int,
    old_edge: int,
    gone: int,
    cap: int,
) -> int:
    """Write whom it saw into `out` from `begin` on; their number. Before `edge` no read ends any more."""
    base, n = HEADER + state[1] * TILE, state[2]
    first = 0
    while first < n and state[base + first * SEEN] < gone:
        first += 1
    end = begin + (n - first) * SEEN
    out[begin:end] = state[base + first * SEEN : base + n * SEEN]
    aged = False
    for i in range(rows.shape[0]):
        second, who = rows[i, 0] // head * head, rows[i, 2]
        if who == 0 or second < gone:
            continue
        at = end - SEEN
        smaller = 0  # of the same second
        while at >= begin and (out[at] > second or (out[at] == second and out[at + 1] < who)):
            if out[at] == second:
                smaller += 1
            at -= SEEN
        if smaller >= cap or (at >= begin and out[at] == second and out[at + 1] == who):
            continue
        at += SEEN
        for j in range(end - 1, at - 1, -1):
            out[j + SEEN] = out[j]
        out[at], out[at + 1] = second, who
        end += SEEN
        # The largest of a second with more than the cap stands first in it.
        lead = at
        while lead - SEEN >= begin and out[lead - SEEN] == second:
            lead -= SEEN
        if lead + cap * SEEN < end and out[lead + cap * SEEN] == second:
            for j in range(lead, end - SEEN):
                out[j] = out[j + SEEN]
            end -= SEEN
        aged = aged or second < edge
    young = begin + _first_from(out, begin, SEEN, 0, (end - begin) // SEEN, edge) * SEEN
    if young > begin and (aged or out[young - SEEN] >= old_edge):
        table = np.zeros(WORDS, np.int64)
        to, kept, at = young, 0, young - SEEN
        while at >= begin and kept < cap:
            if add(table, 0, out[at + 1]):
                to -= SEEN
                out[to], out[to + 1] = out[at], out[at + 1]
                kept += 1
            at -= SEEN
        if to > begin:
            for j in range(to, end):
                out[begin + j - to] = out[j]
            end -= to - begin
    return (end - begin) // SEEN


@njit(cache=True)
def _label_less(a: Words, i: int, b: Words, j: int) -> bool:
    for k in range(LABEL):
        if a[i, k] != b[j, k]:
            return a[i, k] < b[j, k]
    return False


@njit(cache=True)
def _fold_labels(state: State, rows: Words, edge: int, bound: int) -> tuple[Words, int]:
    """The labels, shape (k, 3), that are known since `edge`, and the label floor."""
    n, m = state[3], rows.shape[0]
    base = HEADER + state[1] * TILE + state[2] * SEEN
    labels = np.empty((n + m, LABEL), np.int64)
    labels[:n] = state[base : base + n * LABEL].reshape(n, LABEL)
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
    floor = state[6]
    times = np.sort(labels[:count, 1])
    old = np.searchsorted(times, edge)
    if count - old > bound:
        floor = max(floor, times[count - bound - 1])
    if floor < edge:
        floor = NEVER
    kept = 0
    for i in range(count):
        if labels[i, 1] >= edge and labels[i, 1] > floor:
            labels[kept] = labels[i]
            kept += 1
    return labels[:kept], floor


@njit(cache=True)
def fold_tiled(
    state: State,
    rows: Words,
    labels: Words,
    levels: Words,
    horizon_ms: int,
    cap: int,
    label_memory_ms: int,
    label_bound: int,
) -> State:
    """A new state that holds `rows`, shape (m, 3): ts, amount, counterpart; and `labels`, shape (k, 3), too.

    `levels`, shape (n, 2), are (window ms, tail resolution ms) ascending. The order of rows, labels and
    calls does not matter; rows in order touch no more than the newest tiles and those that come of age.
    """
    newest, newest_label = state[4], state[5]
    for i in range(rows.shape[0]):
        newest = max(newest, rows[i, 0])
    for i in range(labels.shape[0]):
        newest_label = max(newest_label, labels[i, 1])
    m, last, head = rows.shape[0], levels.shape[0] - 1, levels[0, 1]
    gone = (newest - horizon_ms - levels[last, 0]) // levels[last, 1] * levels[last, 1]
    out = np.empty(state.shape[0] + m * (TILE + SEEN) + labels.shape[0] * LABEL, np.int64)
    tiles = _fold_tiles(out, state, rows, levels, newest, horizon_ms, gone)
    edge = (newest - horizon_ms) // head * head
    old_edge = (state[4] - horizon_ms) // head * head
    begin = HEADER + tiles * TILE
    seen = _fold_seen(out, begin, state, rows, head, edge, old_edge, gone, cap)
    begin += seen * SEEN
    known, floor = state[3], state[6]
    if labels.shape[0] > 0:
        kept, floor = _fold_labels(state, labels, newest_label - horizon_ms - label_memory_ms, label_bound)
        known = kept.shape[0]
        for i in range(known):
            for k in range(LABEL):
                out[begin + i * LABEL + k] = kept[i, k]
    elif known > 0:
        base = HEADER + state[1] * TILE + state[2] * SEEN
        out[begin : begin + known * LABEL] = state[base : base + known * LABEL]
    size = begin + known * LABEL
    out[0], out[1], out[2], out[3] = state[0], tiles, seen, known
    out[4], out[5], out[6] = newest, newest_label, floor
    # A little room left over costs less than another copy.
    return out[:size] if 8 * size >= 7 * out.shape[0] else out[:size].copy()


@njit(cache=True)
def fold_many_tiled(
    words: Words,
    sizes: Words,
    rows: Words,
    counts: Words,
    labels: Words,
    label_counts: Words,
    levels: Words,
    horizon_ms: int,
    cap: int,
    label_memory_ms: int,
    label_bound: int,
) -> tuple[Words, Words]:
    """`fold_tiled` for many keys in one call.

    Args:
        words: the states, one after the other, of so many words each as `sizes` says, shape (n,); one of no
            words stays so, and its rows and labels are left out.
        rows: shape (m, 3), key by key, of each so many as `counts` says, shape (n,).
        labels: shape (k, 3), in the same way by `label_counts`.

    Returns the new states, one after the other, and their sizes.
    """
    room = rows.shape[0] * (TILE + SEEN) + labels.shape[0] * LABEL
    out = np.empty(words.shape[0] + room, np.int64)
    out_sizes = np.zeros(sizes.shape[0], np.int64)
    at, row, label, end = 0, 0, 0, 0
    for i in range(sizes.shape[0]):
        if sizes[i] > 0:
            its_labels = labels[label : label + label_counts[i]]
            new = fold_tiled(
                words[at : at + sizes[i]], rows[row : row + counts[i]], its_labels, levels,
                horizon_ms, cap, label_memory_ms, label_bound,
            )  # fmt: skip
            out[end : end + new.shape[0]] = new
            out_sizes[i] = new.shape[0]
            end += new.shape[0]
        at += sizes[i]
        row += counts[i]
        label += label_counts[i]
    return out[:end], out_sizes


@njit(cache=True)
def _count_frauds(state: State, spec: Words, now: int, memory: int, high: int) -> Words:
    """By feature of `spec` that is a fraud rate: transactions known as fraud before `high` whose first fraud
    label lies in its window."""
    frauds = np.zeros(spec.shape[0], np.int64)
    base = HEADER + state[1] * TILE + state[2] * SEEN
    i, n = 0, state[3]
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
        if verdict == 1:
            for f in range(spec.shape[0]):
                if spec[f, 0] == FRAUD_RATE and first >= (now - spec[f, 1]) // spec[f, 2] * spec[f, 2]:
                    frauds[f] += 1
    return frauds


@njit(cache=True)
def read_tiled(
    state: State,
    spec: Words,
    horizon_ms: int,
    now: int,
    amount: int,
    who: int,
    cap: int,
    label_memory_ms: int,
    risk_prior: float,
    risk_weight: float,
    out: npt.NDArray[np.float32],
) -> bool:
    """Write every feature of `spec` at `now` into `out`, by one walk from the newest tile backwards.

    `spec`, shape (n, 5), is (code, window ms, tail ms, head ms, place in `out`) by ascending window; `amount`
    and `who` are the transaction at hand. Returns False, and writes nulls, where `now` lies beyond the
    horizon of the state.
    """
    features = spec.shape[0]
    if (state[4] != NEVER and now < state[4] - horizon_ms) or (
        state[5] != NEVER and now < state[5] - horizon_ms
    ):
        for f in range(features):
            out[spec[f, 4]] = np.nan
        return False
    if features == 0:
        return True
    high = now // spec[0, 3] * spec[0, 3]
    memory = high - label_memory_ms
    labels_gone = state[6] != NEVER and memory <= state[6]
    table = np.zeros(WORDS, np.int64)
    distinct = 0
    if who != 0 and add(table, 0, who):
        distinct = 1
    count, total, largest = 0, 0, amount
    seen_base = HEADER + state[1] * TILE
    i, s = HEADER + (state[1] - 1) * TILE, seen_base + (state[2] - 1) * SEEN
    while i >= HEADER and state[i] >= high:
        i -= TILE
    while s >= seen_base and state[s] >= high:
        s -= SEEN
    frauds, counted = table, False
    f = 0
    while f < features:
        window, tail = spec[f, 1], spec[f, 2]
        low = (now - window) // tail * tail
        while i >= HEADER and state[i] >= low:
            count += state[i + 2]
            total += state[i + 3]
            largest = max(largest, state[i + 4])
            i -= TILE
        while s >= seen_base and state[s] >= low and distinct < cap:
            if add(table, 0, state[s + 1]):
                distinct += 1
            s -= SEEN
        while f < features and spec[f, 1] == window:
            code, value = spec[f, 0], np.nan
            if code == COUNT:
                value = float(count + 1)
            elif code == SUM:
                value = float(total + amount)
            elif code == MEAN:
                value = (total + amount) / (count + 1)
            elif code == MAX:
                value = float(largest)
            elif code == DISTINCT:
                value = float(distinct)
            elif code == RATIO:
                if total > 0:
                    value = amount * count / total
            elif not labels_gone:  # FRAUD_RATE
                if not counted:
                    frauds, counted = _count_frauds(state, spec, now, memory, high), True
                value = (frauds[f] + risk_weight * risk_prior) / (count + risk_weight)
            out[spec[f, 4]] = value
            f += 1
    return True


@njit(cache=True)
def read_many_tiled(
    words: Words,
    sizes: Words,
    rows: Words,
    counts: Words,
    asked: Words,
    kind: int,
    spec: Words,
    levels: Words,
    horizon_ms: int,
    cap: int,
    label_reach_ms: int,
    label_bound: int,
    label_memory_ms: int,
    risk_prior: float,
    risk_weight: float,
    out: Any,
    whole: npt.NDArray[np.bool_],
) -> None:
    """The features of many transactions, each at its own ts, from states as they were stored.

    As `read_many_exact`; a line of `asked`, shape (n, 2 + 3), is (number of the key, place, ts, amount,
    counterpart).
    """
    no_labels = np.empty((0, LABEL), np.int64)
    at, row, line = 0, 0, 0
    for k in range(sizes.shape[0]):
        size, state = sizes[k], words[at : at + sizes[k]]
        sound = (
            size >= HEADER
            and state[0] == kind
            and size == HEADER + TILE * state[1] + SEEN * state[2] + LABEL * state[3]
        )
        if sound and counts[k] > 0:
            state = fold_tiled(
                state, rows[row : row + counts[k]], no_labels, levels, horizon_ms, cap, label_reach_ms,
                label_bound,
            )  # fmt: skip
        at += size
        row += counts[k]
        while line < asked.shape[0] and asked[line, 0] == k:
            place = asked[line, 1]
            if not sound or not read_tiled(
                state, spec, horizon_ms, asked[line, 2], asked[line, 3], asked[line, 4], cap,
                label_memory_ms, risk_prior, risk_weight, out[place],
            ):  # fmt: skip
                whole[place] = False
            line += 1


@njit(cache=True)
def bulk_tiled(
    rows: Words,
    order: Words,
    starts: Words,
    labels: Words,
    label_starts: Words,
    spec: Words,
    levels: Words,
    kind: int,
    horizon_ms: int,
    lag_ms: int,
    cap: int,
    label_reach_ms: int,
    label_bound: int,
    label_memory_ms: int,
    risk_prior: float,
    risk_weight: float,
    out: Any,
) -> None:
    """Every row's features as of its own time: rows (ts, amount, counterpart) grouped by key, in time order.

    Row i is transaction `order[i]`, whose features are row `order[i]` of `out`, shape (n, features). Each
    key's labels stand in order of known_at.
    """
    for group in range(starts.shape[0] - 1):
        state = empty_tiled(kind)
        folded, known = starts[group], label_starts[group]
        for i in range(starts[group], starts[group + 1]):
            now = rows[i, 0]
            first, first_label = folded, known
            while rows[folded, 0] < now - lag_ms:
                folded += 1
            while known < label_starts[group + 1] and labels[known, 1] < now - lag_ms:
                known += 1
            if folded > first or known > first_label:
                state = fold_tiled(
                    state, rows[first:folded], labels[first_label:known], levels, horizon_ms, cap,
                    label_reach_ms, label_bound,
                )  # fmt: skip
            read_tiled(
                state, spec, horizon_ms, now, rows[i, 1], rows[i, 2], cap,
                label_memory_ms, risk_prior, risk_weight, out[order[i]],
            )  # fmt: skip

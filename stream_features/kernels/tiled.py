"""The state of a merchant or an address: tiles that grow coarser with age, sightings of cards, and labels.

Layout, int64: [kind, tiles, sightings, labels, newest ts, newest known_at, label floor], then the tiles
(start ms, length ms, count, sum, max) sorted by start, then the sightings (second ms, counterpart hash), then
the labels (transaction hash, known_at, code) sorted. A tile's length is a function of its time and of the
newest ts alone, so the bytes depend on the set of events and not on their order. Tiles merge only where no
window, read at any `now` within the horizon, could tell them apart: the state stays bounded for the hottest
key, and every answer stays exact.

Tiles are 1 s long until 1 min behind the horizon, then 5 s until 5 min, 1 min until 1 h, 20 min until 24 h,
2 h until 7 d and 12 h until 30 d; a tile that would straddle such a limit keeps the shorter length. Example:
ten events of one merchant, with a horizon of 2 min; each box is a tile, as wide as the events in it
(docs/kernels.md explains each line).

    event         cents   tiles after it
    12:00:01.2      500   ├1s┤
    12:00:01.7      700   ├──1s───┤
    12:00:03        900   ├──1s───┤ ├1s┤
    12:00:08        300   ├──1s───┤ ├1s┤ ├1s┤
    12:00:41        400   ├──1s───┤ ├1s┤ ├1s┤ ├1s┤
    12:02:10        600   ├──1s───┤ ├1s┤ ├1s┤ ├1s┤ ├1s┤
    12:04:30        800   ├─────5s─────┤ ├5s┤ ├5s┤ ├1s┤ ├1s┤
    12:09:05        200   ├─────────1min─────────┤ ├5s┤ ├5s┤ ├1s┤
    13:30:00        100   ├────────────────20min────────────────┤ ├1s┤
    +1d 17:00:00   1000   ├────────────────────2h────────────────────┤ ├1s┤

Sightings are separate from the tiles, because every window ends at `now`. Of the counterparts seen before the
horizon, the `cap` most recent, each at its last second, determine min(cap, distinct) of every window. Of each
second within the horizon, where a read may end, the `cap` smallest hashes are kept. The order is (second
ascending, hash descending), so a walk from the end meets first the sightings that are kept.

numba's cache notices changes of a function's own file only. So levels, bounds and caps of the catalogue are
arguments, and the functions that call each other stand in this file. Compiled in are the layout and codes
below, and `seen_set.add`: after a change there, change a line here too.
"""

from typing import Any

import numpy as np
from numba import njit
from numba.extending import register_jitable

from fraudsim.arrays import Flags, Floats, Ints
from stream_features.kernels.seen_set import WORDS, add
from stream_features.kernels.tumbling import tumble

HEADER = 7
WIDTH = 3
TILE = 5
SIGHTING = 2
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


@register_jitable
def empty_tiled(kind: int) -> Ints:
    """The state of a key never seen."""
    state = np.empty(HEADER, np.int64)
    state[0], state[1], state[2], state[3] = kind, 0, 0, 0
    state[4], state[5], state[6] = NEVER, NEVER, NEVER
    return state


@njit(cache=True)
def _first_from(words: Ints, base: int, width: int, low: int, high: int, value: int) -> int:
    """Index of the first entry of [low, high) whose first word, by which they are sorted, is >= `value`."""
    while low < high:
        middle = (low + high) // 2
        if words[base + middle * width] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _age(levels: Ints, level: int, newest: int, horizon_ms: int) -> int:
    """Time before which tiles have at least the length of `level`: no finer window can cut them any more."""
    finer, length = levels[level - 1, 1], levels[level, 1]
    edge = (newest - horizon_ms - levels[level - 1, 0]) // finer * finer
    return edge // length * length


@njit(cache=True)
def _fold_tiles(
    out: Ints, state: Ints, rows: Ints, levels: Ints, newest: int, horizon_ms: int, drop_before: int
) -> int:
    """Write the new tiles into `out` after the header; returns their number."""
    n, last = state[1], levels.shape[0] - 1
    ages = np.empty(last + 1, np.int64)
    unchanged = newest + 1  # tiles that start before it keep their length
    for level in range(1, last + 1):
        ages[level] = _age(levels, level, newest, horizon_ms)
        if n > 0:
            old_age = _age(levels, level, state[4], horizon_ms)
            if old_age < ages[level]:
                unchanged = min(unchanged, old_age)
    first = 0
    while first < n and state[HEADER + first * TILE] < drop_before:
        first += 1
    low = _first_from(state, HEADER, TILE, first, n, unchanged)
    tiles = low - first
    out[HEADER : HEADER + tiles * TILE] = state[HEADER + first * TILE : HEADER + low * TILE]
    for i in range(low, n + rows.shape[0]):
        if i < n:
            base = HEADER + i * TILE
            ts = state[base]
            transactions, total, largest = state[base + 2], state[base + 3], state[base + 4]
        else:
            ts = rows[i - n, 0]
            if ts < drop_before:
                continue
            transactions, total, largest = 1, rows[i - n, 1], rows[i - n, 1]
        length = levels[0, 1]
        for level in range(last, 0, -1):
            if ts < ages[level]:
                length = levels[level, 1]
                break
        start = ts // length * length
        index = HEADER + (tiles - 1) * TILE
        while index >= HEADER and out[index] > start:
            index -= TILE
        if index >= HEADER and out[index] == start:
            out[index + 2] += transactions
            out[index + 3] += total
            out[index + 4] = max(out[index + 4], largest)
            continue
        index += TILE
        for j in range(HEADER + tiles * TILE - 1, index - 1, -1):
            out[j + TILE] = out[j]
        out[index], out[index + 1], out[index + 2], out[index + 3], out[index + 4] = (
            start,
            length,
            transactions,
            total,
            largest,
        )
        tiles += 1
    return tiles


@njit(cache=True)
def _fold_sightings(
    out: Ints,
    begin: int,
    state: Ints,
    rows: Ints,
    head: int,
    edge: int,
    old_edge: int,
    drop_before: int,
    cap: int,
) -> int:
    """Write the new sightings into `out` from `begin`; returns their number. No read ends before `edge`."""
    base, n = HEADER + state[1] * TILE, state[2]
    first = 0
    while first < n and state[base + first * SIGHTING] < drop_before:
        first += 1
    end = begin + (n - first) * SIGHTING
    out[begin:end] = state[base + first * SIGHTING : base + n * SIGHTING]
    has_old_row = False
    for i in range(rows.shape[0]):
        second, counterpart = rows[i, 0] // head * head, rows[i, 2]
        if counterpart == 0 or second < drop_before:
            continue
        index = end - SIGHTING
        smaller_count = 0  # hashes of the same second
        while index >= begin and (
            out[index] > second or (out[index] == second and out[index + 1] < counterpart)
        ):
            if out[index] == second:
                smaller_count += 1
            index -= SIGHTING
        if smaller_count >= cap or (
            index >= begin and out[index] == second and out[index + 1] == counterpart
        ):
            continue
        index += SIGHTING
        for j in range(end - 1, index - 1, -1):
            out[j + SIGHTING] = out[j]
        out[index], out[index + 1] = second, counterpart
        end += SIGHTING
        # Of a second over the cap, the largest hash, which stands first, is dropped.
        lead_index = index
        while lead_index - SIGHTING >= begin and out[lead_index - SIGHTING] == second:
            lead_index -= SIGHTING
        if lead_index + cap * SIGHTING < end and out[lead_index + cap * SIGHTING] == second:
            for j in range(lead_index, end - SIGHTING):
                out[j] = out[j + SIGHTING]
            end -= SIGHTING
        has_old_row = has_old_row or second < edge
    young_begin = begin + _first_from(out, begin, SIGHTING, 0, (end - begin) // SIGHTING, edge) * SIGHTING
    if young_begin > begin and (has_old_row or out[young_begin - SIGHTING] >= old_edge):
        members = np.zeros(WORDS, np.int64)
        target, member_count, index = young_begin, 0, young_begin - SIGHTING
        while index >= begin and member_count < cap:
            if add(members, 0, out[index + 1]):
                target -= SIGHTING
                out[target], out[target + 1] = out[index], out[index + 1]
                member_count += 1
            index -= SIGHTING
        if target > begin:
            for j in range(target, end):
                out[begin + j - target] = out[j]
            end -= target - begin
    return (end - begin) // SIGHTING


@njit(cache=True)
def _label_less(a: Ints, i: int, b: Ints, j: int) -> bool:
    for k in range(LABEL):
        if a[i, k] != b[j, k]:
            return a[i, k] < b[j, k]
    return False


@njit(cache=True)
def _fold_labels(state: Ints, rows: Ints, edge: int, bound: int) -> tuple[Ints, int]:
    """The labels known since `edge`, at most `bound`, shape (k, 3); and the label floor."""
    n, m = state[3], rows.shape[0]
    base = HEADER + state[1] * TILE + state[2] * SIGHTING
    labels = np.empty((n + m, LABEL), np.int64)
    labels[:n] = state[base : base + n * LABEL].reshape(n, LABEL)
    count = n
    for i in range(m):
        index = count
        while index > 0 and _label_less(rows, i, labels, index - 1):
            index -= 1
        if index > 0 and not _label_less(labels, index - 1, rows, i):
            continue  # the same label again
        for j in range(count, index, -1):
            labels[j] = labels[j - 1]
        labels[index] = rows[i]
        count += 1
    floor = state[6]
    known_times = np.sort(labels[:count, 1])
    old_count = np.searchsorted(known_times, edge)
    if count - old_count > bound:
        floor = max(floor, known_times[count - bound - 1])
    if floor < edge:
        floor = NEVER
    kept_count = 0
    for i in range(count):
        if labels[i, 1] >= edge and labels[i, 1] > floor:
            labels[kept_count] = labels[i]
            kept_count += 1
    return labels[:kept_count], floor


@njit(cache=True)
def fold_tiled(
    state: Ints,
    rows: Ints,
    labels: Ints,
    levels: Ints,
    horizon_ms: int,
    cap: int,
    label_memory_ms: int,
    label_bound: int,
) -> Ints:
    """A new state with rows and labels added. The order of rows, labels and calls does not matter.

    Rows in order change only the newest tiles and those that reach the age of the next level.

    Args:
        rows: shape (m, 3), (ts ms, amount cents, counterpart hash).
        labels: shape (k, 3), (transaction hash, known_at ms, code).
        levels: shape (n, 2), (window ms, tail resolution ms) ascending.
    """
    newest, newest_label = state[4], state[5]
    for i in range(rows.shape[0]):
        newest = max(newest, rows[i, 0])
    for i in range(labels.shape[0]):
        newest_label = max(newest_label, labels[i, 1])
    m, last, head = rows.shape[0], levels.shape[0] - 1, levels[0, 1]
    drop_before = (newest - horizon_ms - levels[last, 0]) // levels[last, 1] * levels[last, 1]
    out = np.empty(state.shape[0] + m * (TILE + SIGHTING) + labels.shape[0] * LABEL, np.int64)
    tiles = _fold_tiles(out, state, rows, levels, newest, horizon_ms, drop_before)
    edge = (newest - horizon_ms) // head * head
    old_edge = (state[4] - horizon_ms) // head * head
    begin = HEADER + tiles * TILE
    sightings = _fold_sightings(out, begin, state, rows, head, edge, old_edge, drop_before, cap)
    begin += sightings * SIGHTING
    label_count, floor = state[3], state[6]
    if labels.shape[0] > 0:
        kept_labels, floor = _fold_labels(
            state, labels, newest_label - horizon_ms - label_memory_ms, label_bound
        )
        label_count = kept_labels.shape[0]
        for i in range(label_count):
            for k in range(LABEL):
                out[begin + i * LABEL + k] = kept_labels[i, k]
    elif label_count > 0:
        base = HEADER + state[1] * TILE + state[2] * SIGHTING
        out[begin : begin + label_count * LABEL] = state[base : base + label_count * LABEL]
    size = begin + label_count * LABEL
    out[0], out[1], out[2], out[3] = state[0], tiles, sightings, label_count
    out[4], out[5], out[6] = newest, newest_label, floor
    # A little unused memory costs less than another copy.
    return out[:size] if 8 * size >= 7 * out.shape[0] else out[:size].copy()


@njit(cache=True)
def fold_many_tiled(
    words: Ints,
    sizes: Ints,
    rows: Ints,
    counts: Ints,
    labels: Ints,
    label_counts: Ints,
    levels: Ints,
    horizon_ms: int,
    cap: int,
    label_memory_ms: int,
    label_bound: int,
) -> tuple[Ints, Ints]:
    """`fold_tiled` for many keys in one call.

    Args:
        words: the states, one after the other.
        sizes: words of each state, shape (n,); an empty state stays empty, and its rows and labels are
            ignored.
        rows: shape (m, 3), key by key.
        counts: rows of each key, shape (n,).
        labels: shape (k, 3), key by key.
        label_counts: labels of each key, shape (n,).

    Returns the new states, one after the other, and their sizes.
    """
    room = rows.shape[0] * (TILE + SIGHTING) + labels.shape[0] * LABEL
    out = np.empty(words.shape[0] + room, np.int64)
    out_sizes = np.zeros(sizes.shape[0], np.int64)
    begin, row, label, end = 0, 0, 0, 0
    for i in range(sizes.shape[0]):
        if sizes[i] > 0:
            key_labels = labels[label : label + label_counts[i]]
            new = fold_tiled(
                words[begin : begin + sizes[i]], rows[row : row + counts[i]], key_labels, levels,
                horizon_ms, cap, label_memory_ms, label_bound,
            )  # fmt: skip
            out[end : end + new.shape[0]] = new
            out_sizes[i] = new.shape[0]
            end += new.shape[0]
        begin += sizes[i]
        row += counts[i]
        label += label_counts[i]
    return out[:end], out_sizes


@njit(cache=True)
def count_frauds(state: Ints, spec: Ints, now: int, memory: int, high: int) -> Ints:
    """Known frauds of each fraud-rate feature of `spec`, shape (n,), zero for other features.

    A transaction is one if the latest of its labels known in [memory, high) says fraud, and its first fraud
    label lies in the feature's window.
    """
    frauds = np.zeros(spec.shape[0], np.int64)
    base = HEADER + state[1] * TILE + state[2] * SIGHTING
    i, n = 0, state[3]
    while i < n:
        tx = state[base + i * LABEL]
        first_fraud_at, verdict_at, verdict = NEVER, NEVER, 0
        while i < n and state[base + i * LABEL] == tx:
            known_at, code = state[base + i * LABEL + 1], state[base + i * LABEL + 2]
            if memory <= known_at < high:
                if code % 2 == 1 and first_fraud_at == NEVER:
                    first_fraud_at = known_at
                if known_at >= verdict_at:  # rows are sorted, so of equal times the higher rank comes last
                    verdict_at, verdict = known_at, code % 2
            i += 1
        if verdict == 1:
            for f in range(spec.shape[0]):
                if (
                    spec[f, 0] == FRAUD_RATE
                    and first_fraud_at >= (now - spec[f, 1]) // spec[f, 2] * spec[f, 2]
                ):
                    frauds[f] += 1
    return frauds


@njit(cache=True)
def read_tiled(
    state: Ints,
    spec: Ints,
    horizon_ms: int,
    now: int,
    amount: int,
    counterpart: int,
    cap: int,
    label_memory_ms: int,
    risk_prior: float,
    risk_weight: float,
    out: Floats,
) -> bool:
    """Write every feature of `spec` at `now` into `out`, by one walk backwards from the newest tile.

    Args:
        spec: shape (n, 5), (code, window ms, tail ms, head ms, index in `out`) by ascending window.
        amount, counterpart: those of the transaction at hand.
        cap: most that a distinct count tells.

    Returns False, and writes nulls, where `now` lies beyond the state's horizon.
    """
    features = spec.shape[0]
    if (state[4] != NEVER and now < state[4] - horizon_ms) or (
        state[5] != NEVER and now < state[5] - horizon_ms
    ):
        for feature in range(features):
            out[spec[feature, 4]] = np.nan
        return False
    if features == 0:
        return True
    high = now // spec[0, 3] * spec[0, 3]
    memory = high - label_memory_ms
    labels_incomplete = state[6] != NEVER and memory <= state[6]
    members = np.zeros(WORDS, np.int64)
    distinct = 0
    if counterpart != 0 and add(members, 0, counterpart):
        distinct = 1
    count, total, largest = 0, 0, amount
    seen_base = HEADER + state[1] * TILE
    tile, sighting = HEADER + (state[1] - 1) * TILE, seen_base + (state[2] - 1) * SIGHTING
    while tile >= HEADER and state[tile] >= high:
        tile -= TILE
    while sighting >= seen_base and state[sighting] >= high:
        sighting -= SIGHTING
    frauds, frauds_counted = members, False
    feature = 0
    while feature < features:
        window, tail = spec[feature, 1], spec[feature, 2]
        low = (now - window) // tail * tail
        while tile >= HEADER and state[tile] >= low:
            count += state[tile + 2]
            total += state[tile + 3]
            largest = max(largest, state[tile + 4])
            tile -= TILE
        while sighting >= seen_base and state[sighting] >= low and distinct < cap:
            if add(members, 0, state[sighting + 1]):
                distinct += 1
            sighting -= SIGHTING
        while feature < features and spec[feature, 1] == window:
            code, value = spec[feature, 0], np.nan
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
            elif not labels_incomplete:  # FRAUD_RATE
                if not frauds_counted:
                    frauds, frauds_counted = count_frauds(state, spec, now, memory, high), True
                value = (frauds[feature] + risk_weight * risk_prior) / (count + risk_weight)
            out[spec[feature, 4]] = value
            feature += 1
    return True


@njit(cache=True)
def read_many_tiled(
    words: Ints,
    sizes: Ints,
    rows: Ints,
    counts: Ints,
    requests: Ints,
    kind: int,
    spec: Ints,
    levels: Ints,
    horizon_ms: int,
    cap: int,
    label_reach_ms: int,
    label_bound: int,
    label_memory_ms: int,
    risk_prior: float,
    risk_weight: float,
    out: Any,
    complete: Flags,
) -> None:
    """The features of many transactions, each at its own ts, from stored states.

    As `read_many_exact`; `requests`, shape (n, 2 + 3), are (key number, row of `out`, ts, amount,
    counterpart).
    """
    no_labels = np.empty((0, LABEL), np.int64)
    begin, row, line = 0, 0, 0
    for k in range(sizes.shape[0]):
        size, state = sizes[k], words[begin : begin + sizes[k]]
        is_readable = (
            size >= HEADER
            and state[0] == kind
            and size == HEADER + TILE * state[1] + SIGHTING * state[2] + LABEL * state[3]
        )
        if is_readable and counts[k] > 0:
            state = fold_tiled(
                state, rows[row : row + counts[k]], no_labels, levels, horizon_ms, cap, label_reach_ms,
                label_bound,
            )  # fmt: skip
        begin += size
        row += counts[k]
        while line < requests.shape[0] and requests[line, 0] == k:
            out_row = requests[line, 1]
            if not is_readable or not read_tiled(
                state, spec, horizon_ms, requests[line, 2], requests[line, 3], requests[line, 4], cap,
                label_memory_ms, risk_prior, risk_weight, out[out_row],
            ):  # fmt: skip
                complete[out_row] = False
            line += 1


@njit(cache=True)
def bulk_tiled(
    rows: Ints,
    order: Ints,
    starts: Ints,
    labels: Ints,
    label_starts: Ints,
    seen_to: Ints,
    read_at: Ints,
    spec: Ints,
    levels: Ints,
    kind: int,
    horizon_ms: int,
    tumbling: bool,
    cap: int,
    label_reach_ms: int,
    label_bound: int,
    label_memory_ms: int,
    risk_prior: float,
    risk_weight: float,
    out: Any,
) -> None:
    """Every row's features from its key's rows and labels before `seen_to`, in windows that end at `read_at`.

    Args:
        rows: shape (n, 3), (ts, amount, counterpart), grouped by key, in time order within a key.
        order: transaction index of each row, shape (n,); a negative one is not read, only seen.
        starts: first row of each key, and n at the end.
        labels: shape (k, 3), grouped by key, in order of known_at within a key.
        label_starts: first label of each key, and k at the end.
        seen_to, read_at: by row, shape (n,), ms; ascending within a key.
        tumbling: whether a window begins at the last multiple of its length instead.
        out: shape (n, features); row `order[i]` receives the features of row i.
    """
    row_spec = spec.copy()
    for group in range(starts.shape[0] - 1):
        state = empty_tiled(kind)
        end, folded_end, label_end = starts[group + 1], starts[group], label_starts[group]
        for i in range(starts[group], end):
            if order[i] < 0:
                continue
            row_begin, label_begin = folded_end, label_end
            while folded_end < end and rows[folded_end, 0] < seen_to[i]:
                folded_end += 1
            while label_end < label_starts[group + 1] and labels[label_end, 1] < seen_to[i]:
                label_end += 1
            if folded_end > row_begin or label_end > label_begin:
                state = fold_tiled(
                    state, rows[row_begin:folded_end], labels[label_begin:label_end], levels, horizon_ms, cap,
                    label_reach_ms, label_bound,
                )  # fmt: skip
            if tumbling:
                tumble(spec, row_spec, read_at[i])
            read_tiled(
                state, row_spec, horizon_ms, read_at[i], rows[i, 1], rows[i, 2], cap,
                label_memory_ms, risk_prior, risk_weight, out[order[i]],
            )  # fmt: skip

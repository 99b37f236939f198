"""How far each observable column, alone or with one other, tells fraud.

A fraud rate by value is learnt on the first half of the history and scored on the second, so that a rare
value cannot vouch for itself; a rate is shrunk towards the mean by `AuditLimits.prior` transactions.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from producers.audit.columns import codes_and_words, numbers, observable_columns, rank_of
from producers.audit.limits import AuditLimits
from producers.audit.report import Check
from producers.audit.separation import SeparationCheck
from producers.calendar.rhythm import HOUR_MS
from producers.history.reader import History
from producers.population.columns import DAY_MS

_FEW: Final = 64
"""Values up to which a column is looked at together with others."""


def signal_checks(
    history: History, fraud: NDArray[np.bool_], truth: pa.Table, bounds: AuditLimits
) -> Iterator[Check]:
    judge = SeparationCheck(fraud, bounds)
    campaign = codes_and_words(truth["campaign_id"])[0]
    for name in observable_columns(history):
        column = history.transactions([name])[name]
        if name == "tx_id":
            yield from _tx_id(judge, column, np.asarray(history.transactions(["ts"])["ts"]), bounds)
        elif name == "ts":
            yield from _ts(judge, np.asarray(column), bounds)
        elif pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
            codes, words = codes_and_words(column)
            # 0 is absent.
            yield judge.rate(name, "fraud rate of each value", codes, bounds.signal)
            yield judge.number(name, "order of the text", rank_of(words)[codes], bounds.signal)
            yield _peculiar(name, codes, campaign, fraud, bounds)
        else:
            values = numbers(column)
            unique, codes = np.unique(values, return_inverse=True)
            yield judge.number(name, "number", values, bounds.signal)
            if len(unique) <= len(values) // 4:
                yield judge.rate(name, "fraud rate of each value", codes, bounds.signal)
                yield _peculiar(name, codes + 1, campaign, fraud, bounds)
            if name == "amount_cents":
                cents = np.abs(np.asarray(column)) % 100
                yield judge.number(name, "last two digits", cents, bounds.cents)
                yield judge.rate(name, "fraud rate of the last two digits", cents, bounds.cents)
    yield _pairs(history, campaign, fraud, bounds)


def _tx_id(
    judge: SeparationCheck, column: pa.ChunkedArray, ts: NDArray[np.int64], bounds: AuditLimits
) -> Iterator[Check]:
    text = column.combine_chunks()
    rank = np.empty(len(text), np.int64)
    rank[np.asarray(pc.sort_indices(text))] = np.arange(len(text))
    yield judge.number("tx_id", "order", rank, bounds.mark)
    day = ts // DAY_MS
    order = np.lexsort((rank, day))
    first = np.searchsorted(day[order], np.unique(day))
    within = np.empty(len(text), np.int64)
    within[order] = np.arange(len(text)) - np.repeat(first, np.diff(np.append(first, len(text))))
    yield judge.number("tx_id", "order within its day", within, bounds.mark)
    steps = np.diff(rank, prepend=rank[:1])
    yield judge.number("tx_id", "step from the row before", np.abs(steps), bounds.mark)
    for what, start, stop in (("first two characters", 0, 2), ("last two characters", -2, None)):
        part = pc.utf8_slice_codeunits(text, start, stop).dictionary_encode()
        yield judge.rate("tx_id", what, np.asarray(part.indices), bounds.mark)


def _ts(judge: SeparationCheck, ts: NDArray[np.int64], bounds: AuditLimits) -> Iterator[Check]:
    yield judge.number("ts", "number", ts, bounds.signal)
    yield judge.rate("ts", "hour of the day (UTC)", ts // HOUR_MS % 24, bounds.signal)
    yield judge.rate("ts", "day of the week", ts // DAY_MS % 7, bounds.signal)
    yield judge.rate("ts", "second of the minute", ts // 1000 % 60, bounds.mark)
    yield judge.number("ts", "millisecond of the second", ts % 1000, bounds.mark)
    yield judge.rate("ts", "fraud rate of the millisecond", ts % 1000, bounds.mark)
    new = np.diff(ts, prepend=ts[0] - 1) != 0
    group = np.cumsum(new) - 1
    yield judge.number("ts", "rows that share it", np.bincount(group)[group], bounds.mark)
    yield judge.ties(ts)


def _peculiar(
    name: str,
    codes: NDArray[np.signedinteger],
    campaign: NDArray[np.signedinteger],
    fraud: NDArray[np.bool_],
    bounds: AuditLimits,
) -> Check:
    """Values that unrelated campaigns have in common and honest people have not."""
    size = int(codes.max()) + 1
    mine = np.flatnonzero(fraud & (codes > 0) & (campaign > 0))
    pairs = np.unique(np.stack([codes[mine], campaign[mine]]), axis=1)
    campaigns = np.bincount(pairs[0], minlength=size)
    bad = np.bincount(codes, weights=fraud, minlength=size)
    mostly = (bad * 2 > np.bincount(codes, minlength=size)) & (campaigns >= bounds.unrelated)
    value = float(bad[mostly].sum() / fraud.sum())
    return Check(
        group="signal",
        of=name,
        what="share at values peculiar to fraud",
        value=value,
        bound=bounds.peculiar,
        passed=value <= bounds.peculiar,
        note=f"{int(mostly.sum())} values" if mostly.any() else "",
    )


def _pairs(
    history: History, campaign: NDArray[np.signedinteger], fraud: NDArray[np.bool_], bounds: AuditLimits
) -> Check:
    """Combinations of two columns that hardly an honest transaction bears and unrelated campaigns do."""
    coarse = dict(_coarse(history))
    bad = np.flatnonzero(fraud)
    marked = np.zeros(len(bad), np.bool_)
    said: list[tuple[int, str]] = []
    for one, other in combinations(coarse, 2):
        (a, a_words), (b, b_words) = coarse[one], coarse[other]
        code = a * np.int32(len(b_words)) + b
        size = len(a_words) * len(b_words)
        frauds = np.bincount(code[bad], minlength=size)
        known = bad[campaign[bad] > 0]
        met = np.unique(np.stack([code[known], campaign[known]]), axis=1)
        campaigns = np.bincount(met[0], minlength=size)
        only = (frauds * 10 >= np.bincount(code, minlength=size) * 9) & (campaigns >= bounds.unrelated)
        marked |= only[code[bad]]
        for found in np.flatnonzero(only).tolist():
            words = f"{one} {a_words[found // len(b_words)]}, {other} {b_words[found % len(b_words)]}"
            said.append((int(frauds[found]), words))
    value = float(marked.mean())
    worst = [f"{words}: {count}" for count, words in sorted(said, reverse=True)[:4]]
    return Check(
        group="signal",
        of="pairs of columns",
        what="share at combinations only fraud has",
        value=value,
        bound=bounds.pairs,
        passed=value <= bounds.pairs,
        note="; ".join(worst),
    )


def _coarse(history: History) -> Iterator[tuple[str, tuple[NDArray[np.int32], list[str]]]]:
    """Columns of few values as codes and words; of the others presence, round amounts and hours."""
    for name in observable_columns(history):
        column = history.transactions([name])[name]
        if name == "amount_cents":
            cents = np.asarray(column)
            roundness = (cents % 100 == 0).astype(np.int32) + (cents % 1000 == 0)
            yield "amount", (roundness.astype(np.int32), ["not whole", "whole", "in tens"])
            continue
        if name == "ts":
            yield from _hours(np.asarray(column), numbers(history.transactions(["lon"])["lon"]))
        if name in ("tx_id", "ts"):
            continue
        codes, words = codes_and_words(column)
        if len(words) <= _FEW:
            yield name, (codes.astype(np.int32), ["absent", *map(str, words.to_pylist())])
        elif column.null_count:
            yield name, ((codes > 0).astype(np.int32), ["absent", "present"])


def _hours(
    ts: NDArray[np.int64], lon: NDArray[np.float64]
) -> Iterator[tuple[str, tuple[NDArray[np.int32], list[str]]]]:
    """Hours of the day as codes and words: UTC, and at the longitude (degrees) of those that have one."""
    words = [f"{hour:02d}" for hour in range(24)]
    hour = ts // HOUR_MS
    yield "hour (UTC)", ((hour % 24).astype(np.int32), words)
    there = np.isfinite(lon)
    local = (hour + np.rint(np.where(there, lon, 0) / 15).astype(np.int64)) % 24
    yield "local hour", (np.where(there, local + 1, 0).astype(np.int32), ["absent", *words])

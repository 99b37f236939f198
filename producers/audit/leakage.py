"""Label leakage: how far each observable column, alone or with one other, tells fraud.

A fraud rate by value is learnt on the first half of the history and scored on the second, so that a rare
value does not confirm itself; a rate is shrunk towards the mean by `AuditLimits.prior` transactions.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudsim.arrays import Doubles, Flags, Int32s, Ints
from producers.audit.columns import codes_and_words, is_text, numbers, observable_columns, text_ranks
from producers.audit.limits import AuditLimits
from producers.audit.report import Check
from producers.audit.separation import SeparationCheck
from producers.calendar.rhythm import HOUR_MS
from producers.history.reader import History
from producers.population.columns import DAY_MS

_MAX_PAIR_VALUES: Final = 64
"""Values up to which a column is combined with others."""


def leakage_checks(history: History, fraud: Flags, truth: pa.Table, limits: AuditLimits) -> Iterator[Check]:
    """The checks of group `signal`; `fraud` and `truth` have one entry per transaction."""
    separation = SeparationCheck(fraud, limits)
    campaign = codes_and_words(truth["campaign_id"])[0]
    for name in observable_columns(history):
        column = history.transactions([name])[name]
        if name == "tx_id":
            yield from _tx_id_checks(
                separation, column, np.asarray(history.transactions(["ts"])["ts"]), limits
            )
        elif name == "ts":
            yield from _ts_checks(separation, np.asarray(column), limits)
        elif is_text(column):
            codes, words = codes_and_words(column)
            # Code 0 is null.
            yield separation.rate(name, "fraud rate of each value", codes, limits.signal)
            yield separation.number(name, "order of the text", text_ranks(words)[codes], limits.signal)
            yield _fraud_only_values(name, codes, campaign, fraud, limits)
        else:
            values = numbers(column)
            unique, codes = np.unique(values, return_inverse=True)
            yield separation.number(name, "number", values, limits.signal)
            if len(unique) <= len(values) // 4:
                yield separation.rate(name, "fraud rate of each value", codes, limits.signal)
                yield _fraud_only_values(name, codes + 1, campaign, fraud, limits)
            if name == "amount_cents":
                cents = np.abs(np.asarray(column)) % 100
                yield separation.number(name, "last two digits", cents, limits.cents)
                yield separation.rate(name, "fraud rate of the last two digits", cents, limits.cents)
    yield _fraud_only_pairs(history, campaign, fraud, limits)


def _tx_id_checks(
    separation: SeparationCheck, column: pa.ChunkedArray, ts: Ints, limits: AuditLimits
) -> Iterator[Check]:
    text = column.combine_chunks()
    rank = np.empty(len(text), np.int64)
    rank[np.asarray(pc.sort_indices(text))] = np.arange(len(text))
    yield separation.number("tx_id", "order", rank, limits.artefact)
    day = ts // DAY_MS
    order = np.lexsort((rank, day))
    first = np.searchsorted(day[order], np.unique(day))
    day_rank = np.empty(len(text), np.int64)
    day_rank[order] = np.arange(len(text)) - np.repeat(first, np.diff(np.append(first, len(text))))
    yield separation.number("tx_id", "order within its day", day_rank, limits.artefact)
    steps = np.diff(rank, prepend=rank[:1])
    yield separation.number("tx_id", "step from the row before", np.abs(steps), limits.artefact)
    for what, start, stop in (("first two characters", 0, 2), ("last two characters", -2, None)):
        part = pc.utf8_slice_codeunits(text, start, stop).dictionary_encode()
        yield separation.rate("tx_id", what, np.asarray(part.indices), limits.artefact)


def _ts_checks(separation: SeparationCheck, ts: Ints, limits: AuditLimits) -> Iterator[Check]:
    yield separation.number("ts", "number", ts, limits.signal)
    yield separation.rate("ts", "hour of the day (UTC)", ts // HOUR_MS % 24, limits.signal)
    yield separation.rate("ts", "day of the week", ts // DAY_MS % 7, limits.signal)
    yield separation.rate("ts", "second of the minute", ts // 1000 % 60, limits.artefact)
    yield separation.number("ts", "millisecond of the second", ts % 1000, limits.artefact)
    yield separation.rate("ts", "fraud rate of the millisecond", ts % 1000, limits.artefact)
    group = np.cumsum(np.diff(ts, prepend=ts[0] - 1) != 0) - 1
    yield separation.number("ts", "rows that share it", np.bincount(group)[group], limits.artefact)
    yield separation.ties(ts)


def _fraud_only_values(
    name: str,
    codes: NDArray[np.signedinteger],
    campaign: NDArray[np.signedinteger],
    fraud: Flags,
    limits: AuditLimits,
) -> Check:
    """Share of frauds at values that independent campaigns share and honest transactions hardly have.

    `codes` and `campaign` are 0 where there is none.
    """
    size = int(codes.max()) + 1
    campaigns = _campaign_counts(codes, campaign, np.flatnonzero(fraud & (codes > 0)), size)
    frauds = np.bincount(codes, weights=fraud, minlength=size)
    fraud_only = (frauds * 2 > np.bincount(codes, minlength=size)) & (campaigns >= limits.min_campaigns)
    value = float(frauds[fraud_only].sum() / fraud.sum())
    return Check(
        group="signal",
        of=name,
        what="share at values peculiar to fraud",
        value=value,
        bound=limits.fraud_only_values,
        passed=value <= limits.fraud_only_values,
        note=f"{int(fraud_only.sum())} values" if fraud_only.any() else "",
    )


def _campaign_counts(
    codes: NDArray[np.signedinteger], campaign: NDArray[np.signedinteger], rows: NDArray[np.intp], size: int
) -> NDArray[np.intp]:
    """(size,): number of campaigns in which each code appears, among some rows."""
    rows = rows[campaign[rows] > 0]
    pairs = np.unique(np.stack([codes[rows], campaign[rows]]), axis=1)
    return np.bincount(pairs[0], minlength=size)


class _CoarseColumn(NamedTuple):
    """A column of few values."""

    codes: Int32s
    words: list[str]
    """The word of each code."""


def _fraud_only_pairs(
    history: History, campaign: NDArray[np.signedinteger], fraud: Flags, limits: AuditLimits
) -> Check:
    """Share of frauds at pairs of values that independent campaigns share and hardly an honest row has."""
    columns = dict(_coarse_columns(history))
    fraud_rows = np.flatnonzero(fraud)
    marked = np.zeros(len(fraud_rows), np.bool_)
    findings: list[tuple[int, str]] = []
    for (name_a, a), (name_b, b) in combinations(columns.items(), 2):
        codes = a.codes * np.int32(len(b.words)) + b.codes
        size = len(a.words) * len(b.words)
        frauds = np.bincount(codes[fraud_rows], minlength=size)
        campaigns = _campaign_counts(codes, campaign, fraud_rows, size)
        mostly_fraud = frauds * 10 >= np.bincount(codes, minlength=size) * 9
        fraud_only = mostly_fraud & (campaigns >= limits.min_campaigns)
        marked |= fraud_only[codes[fraud_rows]]
        for code in np.flatnonzero(fraud_only).tolist():
            code_a, code_b = divmod(code, len(b.words))
            findings.append((int(frauds[code]), f"{name_a} {a.words[code_a]}, {name_b} {b.words[code_b]}"))
    value = float(marked.mean())
    largest = [f"{words}: {count}" for count, words in sorted(findings, reverse=True)[:4]]
    return Check(
        group="signal",
        of="pairs of columns",
        what="share at combinations only fraud has",
        value=value,
        bound=limits.fraud_only_pairs,
        passed=value <= limits.fraud_only_pairs,
        note="; ".join(largest),
    )


def _coarse_columns(history: History) -> Iterator[tuple[str, _CoarseColumn]]:
    """Columns of few values; of the others presence, roundness of amounts, and hours."""
    for name in observable_columns(history):
        column = history.transactions([name])[name]
        if name == "amount_cents":
            cents = np.asarray(column)
            roundness = (cents % 100 == 0).astype(np.int32) + (cents % 1000 == 0)
            yield "amount", _CoarseColumn(roundness.astype(np.int32), ["not whole", "whole", "in tens"])
            continue
        if name == "ts":
            yield from _hours(np.asarray(column), numbers(history.transactions(["lon"])["lon"]))
        if name in ("tx_id", "ts"):
            continue
        codes, words = codes_and_words(column)
        if len(words) <= _MAX_PAIR_VALUES:
            yield name, _CoarseColumn(codes.astype(np.int32), ["absent", *map(str, words.to_pylist())])
        elif column.null_count:
            yield name, _CoarseColumn((codes > 0).astype(np.int32), ["absent", "present"])


def _hours(ts: Ints, lon: Doubles) -> Iterator[tuple[str, _CoarseColumn]]:
    """The hour of the day in UTC, and at the longitude (degrees) if there is one."""
    words = [f"{hour:02d}" for hour in range(24)]
    hour = ts // HOUR_MS
    yield "hour (UTC)", _CoarseColumn((hour % 24).astype(np.int32), words)
    has_lon = np.isfinite(lon)
    local = (hour + np.rint(np.where(has_lon, lon, 0) / 15).astype(np.int64)) % 24
    yield "local hour", _CoarseColumn(np.where(has_lon, local + 1, 0).astype(np.int32), ["absent", *words])

"""A leakage audit of a history: could a model read the truth off something that no real feed gives away?

Three groups of checks. *Signal*: how far each observable column, alone, separates fraud, as the area under
the ROC curve (AUC). *Order*: times, ids and the labels' keys are what they claim. *Truth*: no name or value
of the truth stands in an observable column.

A fraud rate by value is learnt on the first half of the history and scored on the second, so that a rare
value cannot vouch for itself; a rate is shrunk towards the mean by `Bounds.prior` transactions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudsim.errors import FraudsimError
from producers.columns import DAY_MS
from producers.history import History

Group = Literal["signal", "order", "truth"]
_TELLING: Final = re.compile("fraud|truth|typology|campaign|scenario|label|target", re.IGNORECASE)
_MIN_FRAUDS: Final = 50
_FEW: Final = 64
"""Values up to which a column is looked at together with others."""


@dataclass(frozen=True)
class Bounds:
    """The most that an honest world may show. Measured on the default one, 20,000 cards over 30 days.

    An AUC fails where it is above its bound by more than `sigmas` standard errors (Hanley & McNeil 1982),
    so that a small history is not failed by chance.
    """

    signal: float = 0.85
    """AUC of a column that real fraud shows in: web shops, new devices, strange addresses. The honest most is
    mcc's fraud rates with 0.80; channel alone has 0.75, because most fraud is card-not-present."""
    cents: float = 0.60
    """AUC of an amount's last two digits. Cash comes in round sums and subscriptions end in 9, so they say a
    little: 0.52 honest."""
    mark: float = 0.55
    """AUC of what nobody chooses: ids, milliseconds, the order of rows. 0.49 to 0.51 honest."""
    peculiar: float = 0.02
    """Share of all frauds at values that are mostly fraud and yet common to `unrelated` campaigns. 0 honest:
    campaigns know nothing of each other. This finds a mark on a few frauds, which no AUC does."""
    pairs: float = 0.005
    """Share of all frauds at combinations of two columns that are fraud nine times in ten and common to
    `unrelated` campaigns. 0 honest. This finds what no payment can be: a web purchase without an address, a
    mandate at a shop that takes none, cash that is not in tens."""
    unrelated: int = 5
    sigmas: float = 3.0
    prior: float = 20.0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a history and its answer."""

    group: Group
    of: str
    """A column, or a table."""
    what: str
    value: float
    """An AUC, a share, or a number of offending rows, names or values."""
    bound: float
    """The most that `value` may be."""
    error: float = 0.0
    """Standard error of `value`, where it is an estimate."""
    passed: bool
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.of}: {self.what}"


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found."""

    fingerprint: str
    """Of the history."""
    transactions: int
    frauds: int
    passed: bool
    checks: list[Check]

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]


def audit_history(history: History, bounds: Bounds | None = None) -> Audit:
    """Ask a history everything; about ten seconds for 1.6 million transactions.

    Raises:
        FraudsimError: a file cannot be read, or a half of the history has too few frauds to judge by.
    """
    limits = bounds or Bounds()
    truth = history.truth()
    fraud = np.asarray(truth["is_fraud"])
    half = len(fraud) // 2
    fewest = int(min(fraud[:half].sum(), fraud[half:].sum()))
    if fewest < _MIN_FRAUDS:
        raise FraudsimError(
            f"audit {history.directory}: {fewest} frauds in one half of the history, {_MIN_FRAUDS} are "
            "needed; generate more cards or days"
        )
    checks = [
        *_signal(history, fraud, truth, limits),
        *_order(history, truth),
        *_labels(history),
        *_truth(history, truth),
    ]
    return Audit(
        fingerprint=history.manifest.fingerprint,
        transactions=len(fraud),
        frauds=int(fraud.sum()),
        passed=all(check.passed for check in checks),
        checks=checks,
    )


def audit_table(audit: Audit) -> str:
    """The audit as text, one line a check."""
    lines = [
        f"{audit.transactions:,} transactions, {audit.frauds:,} frauds, fingerprint {audit.fingerprint[:16]}"
    ]
    titles = {
        "signal": "AUC of one column alone (0.5 says nothing)",
        "order": "offending rows",
        "truth": "names and values of the truth among what can be observed",
    }
    for group, title in titles.items():
        lines += ["", f"  {title:<52}{'found':>9}{'bound':>8}"]
        for check in audit.checks:
            if check.group == group:
                verdict = "ok" if check.passed else "LEAK" if group != "order" else "BROKEN"
                exact = group != "signal"
                found = f"{check.value:,.0f}" if exact else f"{check.value:.3f}"
                bound = f"{check.bound:,.0f}" if exact else f"{check.bound:.2f}"
                lines.append(f"  {check.name:<52}{found:>9}{bound:>8}  {verdict:<6} {check.note}".rstrip())
    failed = audit.failed
    lines += ["", f"{'FAIL' if failed else 'PASS'} ({len(audit.checks) - len(failed)}/{len(audit.checks)})"]
    return "\n".join(lines)


def write_audit(path: Path, audit: Audit) -> None:
    """The audit as JSON.

    Raises:
        FraudsimError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(audit), indent=2) + b"\n")
    except OSError as error:
        raise FraudsimError(f"audit {error.filename or path}: {error.strerror or error}") from None


def auc(score: NDArray[Any], fraud: NDArray[np.bool_]) -> float:
    """Chance that a fraud scores above an honest transaction, ties by half (Mann-Whitney)."""
    _, codes = np.unique(score, return_inverse=True)
    total = np.bincount(codes)
    bad = np.bincount(codes, weights=fraud, minlength=len(total))
    good = total - bad
    below = np.cumsum(good) - good
    pairs = bad.sum() * good.sum()
    return float(((below + good / 2) * bad).sum() / pairs) if pairs else 0.5


def auc_error(value: float, frauds: int, honest: int) -> float:
    """Standard error of an AUC (Hanley & McNeil, Radiology 143, 1982)."""
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (frauds - 1) * (one - value**2) + (honest - 1) * (two - value**2)
    return float(np.sqrt(max(spread, 0.0) / max(frauds * honest, 1)))


class _Judge:
    """Turns columns into checks against the same frauds and bounds."""

    def __init__(self, fraud: NDArray[np.bool_], bounds: Bounds) -> None:
        self._fraud, self._bounds = fraud, bounds
        self._half = len(fraud) // 2

    def number(self, of: str, what: str, values: NDArray[Any], bound: float) -> Check:
        """Fraud may lie high or low."""
        found = auc(values, self._fraud)
        frauds = int(self._fraud.sum())
        error = auc_error(found, frauds, len(self._fraud) - frauds)
        return self._check(of, what, max(found, 1 - found), bound, error)

    def rate(self, of: str, what: str, codes: NDArray[np.signedinteger], bound: float) -> Check:
        """The fraud rate of each value; codes from 0."""
        early, late = self._fraud[: self._half], self._fraud[self._half :]
        size = int(codes.max()) + 1
        seen = np.bincount(codes[: self._half], minlength=size)
        bad = np.bincount(codes[: self._half], weights=early, minlength=size)
        rates = (bad + self._bounds.prior * early.mean()) / (seen + self._bounds.prior)
        found = auc(rates[codes[self._half :]], late)
        frauds = int(late.sum())
        return self._check(of, what, found, bound, auc_error(found, frauds, len(late) - frauds))

    def ties(self, ts: NDArray[np.int64]) -> Check:
        """Whether the order of rows at one ts tells fraud: the share of pairs whose fraud stands later."""
        group = np.cumsum(np.diff(ts, prepend=ts[0] - 1) != 0) - 1
        rows = np.flatnonzero(np.bincount(group)[group] > 1)
        bad = self._fraud[rows].astype(np.int64)
        honest = np.cumsum(1 - bad)
        where = group[rows]
        first = np.flatnonzero(np.diff(where, prepend=-1) != 0)
        start = np.repeat(honest[first] - (1 - bad[first]), np.diff(np.append(first, len(rows))))
        last = np.append(first[1:], len(rows)) - 1
        total = np.repeat(honest[last], np.diff(np.append(first, len(rows)))) - start
        earlier = int(((honest - start) * bad).sum())
        pairs = int((total * bad).sum())
        found = earlier / pairs if pairs else 0.5
        error = float(0.5 / np.sqrt(pairs)) if pairs else 0.0
        note = f"{earlier} of {pairs} pairs"
        value = max(found, 1 - found)
        return self._check("ts", "row order at equal times", value, self._bounds.mark, error, note)

    def _check(self, of: str, what: str, value: float, bound: float, error: float, note: str = "") -> Check:
        return Check(
            group="signal",
            of=of,
            what=what,
            value=value,
            bound=bound,
            error=error,
            passed=value - self._bounds.sigmas * error <= bound,
            note=note,
        )


def _signal(history: History, fraud: NDArray[np.bool_], truth: pa.Table, bounds: Bounds) -> Iterator[Check]:
    judge = _Judge(fraud, bounds)
    campaign = _codes(truth["campaign_id"])[0]
    for name in _columns(history):
        column = history.transactions([name])[name]
        if name == "tx_id":
            yield from _tx_id(judge, column, np.asarray(history.transactions(["ts"])["ts"]), bounds)
        elif name == "ts":
            yield from _ts(judge, np.asarray(column), bounds)
        elif pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
            codes, words = _codes(column)
            # 0 is absent.
            yield judge.rate(name, "fraud rate of each value", codes, bounds.signal)
            yield judge.number(name, "order of the text", _rank(words)[codes], bounds.signal)
            yield _peculiar(name, codes, campaign, fraud, bounds)
        else:
            values = _numbers(column)
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


def _tx_id(judge: _Judge, column: pa.ChunkedArray, ts: NDArray[np.int64], bounds: Bounds) -> Iterator[Check]:
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


def _ts(judge: _Judge, ts: NDArray[np.int64], bounds: Bounds) -> Iterator[Check]:
    yield judge.number("ts", "number", ts, bounds.signal)
    yield judge.rate("ts", "hour of the day (UTC)", ts // 3_600_000 % 24, bounds.signal)
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
    bounds: Bounds,
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
    history: History, campaign: NDArray[np.signedinteger], fraud: NDArray[np.bool_], bounds: Bounds
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
    """Columns of few values as codes and words; of the others whether they are there, and round amounts."""
    for name in _columns(history):
        column = history.transactions([name])[name]
        if name == "amount_cents":
            cents = np.asarray(column)
            roundness = (cents % 100 == 0).astype(np.int32) + (cents % 1000 == 0)
            yield "amount", (roundness.astype(np.int32), ["not whole", "whole", "in tens"])
            continue
        if name in ("tx_id", "ts"):
            continue
        codes, words = _codes(column)
        if len(words) <= _FEW:
            yield name, (codes.astype(np.int32), ["absent", *map(str, words.to_pylist())])
        elif column.null_count:
            yield name, ((codes > 0).astype(np.int32), ["absent", "present"])


def _order(history: History, truth: pa.Table) -> Iterator[Check]:
    manifest = history.manifest
    table = history.transactions(["tx_id", "ts"])
    ids, ts = table["tx_id"].combine_chunks(), np.asarray(table["ts"])
    yield _count("order", "transactions", "ts runs backwards", (np.diff(ts) < 0).sum())
    outside = (ts < manifest.start_ms) | (ts >= manifest.end_ms)
    yield _count("order", "transactions", "ts outside the history", outside.sum())
    if manifest.source == "world":
        tied = np.flatnonzero(np.diff(ts) == 0)
        wrong = pc.greater(ids.take(pa.array(tied)), ids.take(pa.array(tied + 1)))
        yield _count("order", "transactions", "equal times not by tx_id", pc.sum(wrong).as_py())
    yield _count("order", "transactions", "tx_id not unique", len(ids) - pc.count_distinct(ids).as_py())
    same = truth.num_rows == len(ids) and pc.all(pc.equal(truth["tx_id"].combine_chunks(), ids)).as_py()
    yield _count("order", "truth", "not row by row that of the transactions", not same)


def _labels(history: History) -> Iterator[Check]:
    keys = ["card_id", "merchant_id", "ts", "amount_cents"]
    labels = history.labels()
    known_at, ts = np.asarray(labels["known_at"]), np.asarray(labels["ts"])
    yield _count("order", "labels", "known before the transaction", (known_at < ts).sum())
    yield _count("order", "labels", "known_at runs backwards", (np.diff(known_at) < 0).sum())
    named = [labels[name].cast(pa.string()) for name in ("tx_id", "source")]
    plain = pa.table([*named, labels["known_at"]], names=["tx_id", "source", "known_at"])
    distinct = plain.group_by(plain.column_names).aggregate([]).num_rows
    yield _count("order", "labels", "given twice", labels.num_rows - distinct)
    ids = history.transactions(["tx_id"])["tx_id"].combine_chunks()
    row = pc.index_in(labels["tx_id"].combine_chunks(), value_set=ids)
    yield _count("order", "labels", "of no transaction", row.null_count)
    found = row.is_valid()
    for name in keys:
        theirs = _plain(history.transactions([name])[name]).take(row.filter(found))
        own = _plain(labels[name]).filter(found)
        yield _count("order", "labels", f"another {name}", pc.sum(pc.not_equal(own, theirs)).as_py())


def _truth(history: History, truth: pa.Table) -> Iterator[Check]:
    names = _columns(history)
    telling = [name for name in names if _TELLING.search(name)]
    yield _count("truth", "transactions", "columns named after the truth", len(telling), ", ".join(telling))
    words = {column: _codes(truth[column])[1] for column in ("typology", "campaign_id")}
    kinds = [word for word in words["typology"].to_pylist() if word]
    pattern = "|".join(re.escape(word) for word in kinds)
    for name in names:
        column = history.transactions([name])[name]
        if not (pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)):
            continue
        values = _words(column)
        hits = pc.is_in(values, value_set=words["campaign_id"])
        if kinds:
            hits = pc.or_(hits, pc.match_substring_regex(values, pattern, ignore_case=True))
        said = values.filter(hits).slice(0, 3).to_pylist()
        count = pc.sum(hits).as_py() or 0
        yield _count("truth", name, "values that name a typology or a campaign", count, ", ".join(said))


def _count(group: Group, of: str, what: str, value: float | None, note: str = "") -> Check:
    number = float(value or 0)
    return Check(group=group, of=of, what=what, value=number, bound=0.0, passed=number == 0, note=note)


def _columns(history: History) -> list[str]:
    names: list[str] = pq.read_schema(history.transactions_path).names
    return names


def _plain(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.cast(pa.string()) if pa.types.is_dictionary(whole.type) else whole


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Absent ones below all others, where there are any."""
    whole = column.combine_chunks()
    if whole.null_count == 0:
        return np.asarray(whole)
    return np.nan_to_num(np.asarray(whole.cast(pa.float64())), nan=-np.inf)


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """Codes from 1, 0 where absent, and the words from code 1 on."""
    whole = column.combine_chunks()
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    codes = np.asarray(whole.indices.fill_null(-1)).astype(np.int64) + 1
    return codes, whole.dictionary


def _words(column: pa.ChunkedArray) -> pa.Array:
    """Every word of a dictionary, also those that no row uses; all the values of a plain column."""
    whole = column.combine_chunks()
    return whole.dictionary if pa.types.is_dictionary(whole.type) else whole.drop_null()


def _rank(words: pa.Array) -> NDArray[np.int64]:
    """Place of each code's word in the order of the text; absent ones first."""
    rank = np.zeros(len(words) + 1, np.int64)
    rank[np.asarray(pc.sort_indices(words)) + 1] = np.arange(1, len(words) + 1)
    return rank

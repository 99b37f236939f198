"""Parity over a line of one process that is right, and over lines with one fault each."""

import json
import random
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from fraudsim.cli import build
from fraudsim.log.events import Label, LogPrefix, Transaction
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from stream_features.catalogue.features import DAY, FEATURES, NAMES
from stream_features.encode import label_row
from stream_features.kernels import state
from stream_features.parity import check as parity
from stream_features.parity.sample import heat, weighted_sample, weights
from stream_features.vector import SIZE, keys_of, vector
from testing.contracts.event_streams import rows_of
from testing.samples.log import T0
from testing.samples.run import SEGMENT, make_decision, write_run

PARTITIONS = 2
SETTINGS = Settings(_env_file=None, partitions=PARTITIONS, slots=8)
HORIZON = SEGMENT.horizon_ms
ENGINES = {"replay", "duckdb", "brute force"}


def transaction(n, ts, rng):
    lat, lon = (48.0 + rng.random(), 16.0) if rng.random() < 0.7 else (None, None)
    return Transaction(
        tx_id=f"t{n}", ts=ts, card_id=rng.choice(["c1", "c1", "c2", "c3"]),
        amount_cents=rng.randrange(1, 9_999), merchant_id=rng.choice(["m1", "m1", "m2"]),
        device_id=rng.choice(["d1", "d2", None]), ip=rng.choice(["10.0.0.1", "10.0.0.2", None]),
        mcc=5411, channel="pos", country="AT", lat=lat, lon=lon,
    )  # fmt: skip


def label(tx, known_at, *, is_fraud=True):
    return Label(
        tx_id=tx.tx_id, card_id=tx.card_id, merchant_id=tx.merchant_id, ts=tx.ts,
        amount_cents=tx.amount_cents, is_fraud=is_fraud, source="chargeback", known_at=known_at,
    )  # fmt: skip


def traffic(n=60):
    """A history, its labels, and a log of (position, event) in the order of arrival; some come late."""
    rng = random.Random(7)
    history = [transaction(f"h{i}", T0 - rng.randrange(1, 35 * DAY), rng) for i in range(150)]
    old = [label(tx, tx.ts + 2 * DAY) for tx in history[:30] if tx.ts + 2 * DAY < T0]
    live = [transaction(i, T0 + 1_000 * (8 * i - 30 * (i % 9 == 8)) + 30_000, rng) for i in range(n)]
    log, ends = [], [0] * PARTITIONS
    for tx in live:
        partition = rng.randrange(PARTITIONS)
        log.append(((partition, ends[partition]), tx))
        ends[partition] += 1
    new = [((0, i), label(history[i], T0 + 60_000 + i, is_fraud=i % 2 == 0)) for i in range(20)]
    return history, old, log, new


@dataclass
class Line:
    """A worker that folds batches and a scorer that adds the unfolded log. Faults override their methods."""

    states: dict = field(default_factory=dict)
    folded: list = field(default_factory=list)
    """Log positions that the worker is past."""
    label_count: int = 0

    def fold(self, key, events, labels=()):
        """The worker: a key's events go into its state."""
        old = self.states.get(key)
        self.states[key] = state.fold(
            key[0],
            state.empty(key[0]) if old is None else old,
            rows_of(key[0], events),
            np.array([label_row(item) for item in labels], np.int64).reshape(-1, 3),
            HORIZON,
        )

    def fold_batch(self, batch, labels=()):
        """The worker: a batch of (position, transaction), and labels."""
        for position, tx in batch:
            self.folded.append(position)
            for key in keys_of(tx):
                self.fold(key, [tx])
        for item in labels:
            self.fold(("merchant", item.merchant_id), [], [item])
        self.label_count += len(labels)

    def features(self, at_hand, unfolded):
        """The scorer: the unfolded log and the transaction at hand on top of what is folded."""
        state_by_entity = {}
        for key in keys_of(at_hand):
            stored = self.states.get(key)
            key_events = [tx for tx in unfolded if key in keys_of(tx)]
            stored = state.empty(key[0]) if stored is None else stored
            state_by_entity[key[0]] = state.fold(
                key[0], stored, rows_of(key[0], key_events), state.NO_LABELS, HORIZON
            )
        return vector(at_hand, state_by_entity, HORIZON)

    def prefix(self, at_hand, unfolded, *, http=False):
        """What `features` has seen; over HTTP the unfolded log is what is in flight."""
        pending_ids = [
            tx.tx_id for _, tx in unfolded if tx is not at_hand and set(keys_of(tx)) & set(keys_of(at_hand))
        ]
        positions = [] if http else [position for position, _ in unfolded]
        watermarks = [max((o for p, o in self.folded if p == q), default=-1) for q in range(PARTITIONS)]
        ends = [max((o for p, o in positions if p == q), default=-1) for q in range(PARTITIONS)]
        slots = {
            str(slot_of(*key, SETTINGS.slots)): [*watermarks, self.label_count - 1, -1]
            for key in keys_of(at_hand)
        }
        tail_from = [w + 1 for w in watermarks]
        return LogPrefix(slots=slots, tail_from=tail_from, tail_to=ends, pending=pending_ids if http else [])


def serve(folder, line, *, lag=4, keep_unfolded=True, http=False):
    """A run folder of what a line serves, whose worker is `lag` transactions behind."""
    history, old, log, new = traffic()
    for tx in history:
        for key in keys_of(tx):
            Line.fold(line, key, [tx])
    for item in old:
        Line.fold(line, ("merchant", item.merchant_id), [], [item])
    decisions = []
    for i, (position, tx) in enumerate(log):
        if i >= lag:
            labels = [item for _, item in new[line.label_count : line.label_count + (i % 3 == 0)]]
            line.fold_batch(log[i - lag : i - lag + 1], labels)
        unfolded = log[max(0, i - lag + 1) : i + 1] if keep_unfolded else []
        features, _ = line.features(tx, [other for _, other in unfolded])
        prefix = line.prefix(tx, unfolded, http=http)
        decisions.append(make_decision(tx, position, prefix, features, stale=not keep_unfolded))
    return write_run(folder, log, decisions, new, history=history, history_labels=old)


def check(folder, **options):
    plan = parity.ParityPlan(60, 60, **options)
    return parity.check_parity(folder, folder / "history", SETTINGS, plan)


def entities(result):
    return {feature.entity for feature in FEATURES if feature.name in result.by_feature}


def aggregates(result):
    return {feature.aggregate for feature in FEATURES if feature.name in result.by_feature}


def engines(result):
    return {example["engine"] for examples in result.examples.values() for example in examples}


@pytest.mark.parametrize("how", [{}, {"keep_unfolded": False}, {"http": True}])
def test_a_line_without_fault_passes_by_all_engines(tmp_path, how):
    result = check(serve(tmp_path, Line(), **how))
    assert (result.vectors, result.by_duckdb, result.by_brute_force) == (60, 60, 60)
    assert (result.mismatches, result.examples) == (0, {})


class CorruptedFold(Line):
    """One bit of one amount flips on its way into one card's state."""

    def fold(self, key, events, labels=()):
        if key[0] == "card" and [tx.tx_id for tx in events] == ["t20"]:
            events = [msgspec.structs.replace(events[0], amount_cents=events[0].amount_cents ^ 64)]
        super().fold(key, events, labels)


class SkippedOffset(Line):
    """The watermark passes a transaction that is never folded."""

    def fold_batch(self, batch, labels=()):
        self.folded += [position for position, tx in batch if tx.tx_id == "t20"]
        super().fold_batch([item for item in batch if item[1].tx_id != "t20"], labels)


class DoubledSelf(Line):
    """The transaction at hand is in the state already, under the time at which another process met it."""

    def features(self, at_hand, unfolded):
        if at_hand.tx_id == "t20":
            unfolded = [*unfolded, msgspec.structs.replace(at_hand, ts=at_hand.ts - 1_000)]
        return super().features(at_hand, unfolded)


def test_a_corrupted_fold_fails_parity_by_every_engine(tmp_path):
    result = check(serve(tmp_path, CorruptedFold()))
    assert result.mismatches > 0
    assert engines(result) == ENGINES
    assert entities(result) == {"card"}
    assert {"sum", "mean"} <= aggregates(result)
    assert "count" not in aggregates(result)


def test_a_skipped_offset_fails_parity_by_every_engine(tmp_path):
    result = check(serve(tmp_path, SkippedOffset()))
    assert result.mismatches > 0
    assert engines(result) == ENGINES
    skipped = next(tx for _, tx in traffic()[2] if tx.tx_id == "t20")
    assert entities(result) == {entity for entity, _ in keys_of(skipped)}
    assert {"count", "sum"} <= aggregates(result)
    assert result.by_feature["card_count_30d"] > 3  # it stays away


def test_a_doubled_self_fails_parity_by_every_engine(tmp_path):
    result = check(serve(tmp_path, DoubledSelf()))
    assert result.mismatches > 0
    assert engines(result) == ENGINES
    assert result.by_feature["card_count_1m"] == 3  # one decision, by three engines
    (example,) = [e for e in result.examples["card_count_1m"] if e["engine"] == "duckdb"]
    assert example["tx_id"] == "t20"
    assert example["served"] == example["recomputed"] + 1


def run_command(monkeypatch, folder, *options):
    monkeypatch.setenv("FRAUDSIM_PARTITIONS", str(PARTITIONS))
    command = ["features", "parity", "--run", str(folder), "--json", str(folder / "parity.json"), *options]
    done = CliRunner().invoke(build(), command)
    assert (folder / "parity.json").exists(), (done.output, done.exception)
    return done, json.loads((folder / "parity.json").read_text())


def test_the_command_fails_with_examples_by_feature(tmp_path, monkeypatch):
    done, written = run_command(monkeypatch, serve(tmp_path, DoubledSelf()), "--sample", "60")
    assert done.exit_code == 1
    assert "card_count_1m: 3 values differ" in done.output
    assert (written["vectors"], written["features"], written["by_duckdb"]) == (60, SIZE, 60)
    assert written["mismatches"] > 0
    assert set(written) >= {"uncertain", "degraded", "missing_pending", "examples", "staleness_effect"}


def test_staleness_is_reported_by_feature_and_is_no_mismatch(tmp_path, monkeypatch):
    done, written = run_command(
        monkeypatch, serve(tmp_path, Line(), lag=10, keep_unfolded=False), "--sample", "5"
    )
    assert (done.exit_code, written["mismatches"], written["by_duckdb"]) == (0, 0, 5)
    effect = written["staleness_effect"]
    assert list(effect) == list(NAMES)
    assert effect["amount"]["share"] == 0
    # The nine before it were not folded; nor was what came after it and is older.
    log = traffic()[2]
    missed = [
        sum(other.card_id == tx.card_id and other.ts < tx.ts for _, other in log[max(0, i - 9) : i])
        + sum(other.card_id == tx.card_id and other.ts < tx.ts for _, other in log[i + 1 :])
        for i, (_, tx) in enumerate(log)
    ]
    of_count = effect["card_count_30d"]
    assert of_count["share"] == np.mean(np.array(missed) > 0)
    assert of_count["mean_difference"] == pytest.approx(np.mean([n for n in missed if n]))
    assert of_count["largest_difference"] == max(missed)
    assert "staleness: " in done.output
    assert effect["merchant_fraud_30d"]["share"] > 0


def test_a_line_that_keeps_up_has_next_to_no_staleness(tmp_path):
    result = check(serve(tmp_path, Line()), staleness=True)
    assert result.staleness_effect["card_sum_1h"]["share"] < 0.2  # only what came late was not there yet


def test_hot_and_stale_decisions_are_more_likely_in_a_sample_and_the_seed_decides():
    rng = random.Random(1)
    transactions = [transaction(i, T0 + i, rng) for i in range(50)] + [
        msgspec.structs.replace(
            transaction(i, T0 + i, rng), card_id=f"x{i}", merchant_id=None, device_id=None, ip=None
        )
        for i in range(50, 1_000)
    ]
    staleness = np.zeros(1_000)
    staleness[900:] = 50.0
    stale = np.zeros(1_000, bool)
    stale[500:520] = True
    weight = weights(heat(transactions), staleness + np.arange(1_000) / 1e6, stale)
    assert weight[:50].min() > 1
    assert (weight[950:] > 1).all()
    assert (weight[500:520] > 1).all()
    chosen = weighted_sample(weight, 200, 3)
    assert len(set(chosen.tolist())) == 200
    assert (chosen == weighted_sample(weight, 200, 3)).all()
    assert (chosen != weighted_sample(weight, 200, 4)).any()
    assert np.isin(chosen, np.arange(900, 1_000)).sum() > 40  # a fair sample would have 20
    assert np.isin(chosen, np.arange(50)).sum() > 20  # and of these 10
    assert len(weighted_sample(weight, 5_000, 1)) == 1_000

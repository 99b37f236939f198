from collections import Counter
from itertools import takewhile

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import future_limit_ms, past_limit_ms
from fraudsim.log.events import Label, Transaction, Truth, decode_transaction, encoder
from fraudsim.log.topics import LABELS, TRANSACTIONS, TRUTH
from producers.population.closed_shops import closed_rows
from producers.scenario.schema import Attack, Drift, Fault, Outage, Peak, Script
from producers.scenario.scripted_source import ScriptedSource
from producers.sources.source import RawValue
from producers.sources.world_source import WorldSource
from producers.world.config import WorldConfig
from producers.world.world import World

SPEED = 100.0
HOUR = 3_600_000
FIRST_DAY = 30


@pytest.fixture(scope="module")
def world():
    return World(WorldConfig(cards=400, seed=5, fraud_scale=3))


@pytest.fixture(scope="module")
def plain(world):
    return until(WorldSource(world, FIRST_DAY), 24)


def until(source, hours):
    end = source.start_ms + hours * HOUR
    return list(takewhile(lambda item: item.due_ms < end, source.items()))


def played(world, *events, hours=24, seed=1):
    script = Script(version=1, seed=seed, events=list(events))
    return until(ScriptedSource(WorldSource(world, FIRST_DAY), script, SPEED, world), hours)


def transactions(items):
    return [i.event for i in items if i.topic == TRANSACTIONS and isinstance(i.event, Transaction)]


def test_items_come_in_order_and_the_same_each_time(world):
    events = (
        Attack(typology="bin_attack", at="3h", campaigns=2),
        Peak(from_="5h", until="8h", times=2.5),
        Drift(kind="gradual", from_="1h", until="9h", amounts=2.0),
        Fault(kind="late", from_="0s", until="1d", share=0.1, limits=0.5),
        Fault(kind="duplicated", from_="0s", until="1d", share=0.1),
        Fault(kind="malformed", from_="0s", until="1d", share=0.1),
    )
    once, again = played(world, *events), played(world, *events)
    assert once == again
    assert [i.due_ms for i in once] == sorted(i.due_ms for i in once)
    other = played(world, *events, seed=2)
    assert other != once


def test_a_script_changes_the_name(world):
    source = WorldSource(world, FIRST_DAY)
    peak, outage = Peak(from_="1h", until="2h", times=2), Outage(merchant="m000001", from_="1h", until="2h")
    one, other = (
        ScriptedSource(source, Script(version=1, events=[event]), SPEED, world) for event in (peak, outage)
    )
    assert len({source.name, one.name, other.name}) == 3


def test_an_attack_adds_campaigns_with_their_truth_and_labels(world, plain):
    items = played(world, Attack(typology="card_testing", at="3h", campaigns=6))
    news = [i for i in items if i not in set(plain)]
    txs, truths = transactions(news), [i.event for i in news if i.topic == TRUTH]
    assert len({t.campaign_id for t in truths}) == 6
    assert {t.typology for t in truths} == {"card_testing"}
    assert {t.tx_id for t in truths} == {t.tx_id for t in txs}
    assert all(t.is_fraud for t in truths)
    start = WorldSource(world, FIRST_DAY).start_ms
    assert min(t.ts for t in txs) == start + 3 * HOUR
    assert {i.event.tx_id for i in news if i.topic == LABELS} <= {t.tx_id for t in txs}
    assert transactions(plain) == [t for t in transactions(items) if t.tx_id not in {n.tx_id for n in txs}]


def test_an_attack_goes_as_fast_as_its_tempo_says(world, plain):
    def duration(tempo):
        items = played(world, Attack(typology="card_testing", at="3h", campaigns=1, tempo=tempo))
        ts = [t.ts for t in transactions([i for i in items if i not in set(plain)])]
        return len(ts), max(ts) - min(ts)

    (usual_count, usual_ms), (fast_count, fast_ms) = duration(None), duration(60.0)
    assert fast_count == usual_count
    assert fast_ms == pytest.approx(usual_ms / 60, abs=1)


@pytest.mark.parametrize("typology", ["lost_card", "merchant_collusion"])
def test_an_attack_at_any_hour_pays_in_open_shops(world, plain, typology):
    items = played(world, Attack(typology=typology, at="1h", campaigns=8), hours=72)
    ids = {i.event.tx_id for i in plain if i.topic == TRANSACTIONS}
    txs = [t for t in transactions(items) if t.tx_id not in ids]
    ts = np.array([t.ts for t in txs], np.int64)
    merchant = np.array([int(t.merchant_id[1:]) for t in txs], np.int32)
    assert not len(closed_rows(world.population, ts, merchant))


def test_a_peak_multiplies_honest_traffic_in_its_hours(world, plain):
    items = played(world, Peak(from_="10h", until="14h", times=2.5))
    start = WorldSource(world, FIRST_DAY).start_ms

    def count(records, begin, end):
        return sum(start + begin * HOUR <= t.ts < start + end * HOUR for t in transactions(records))

    assert count(items, 0, 10) == count(plain, 0, 10)
    assert count(items, 14, 24) == count(plain, 14, 24)
    assert 2.2 < count(items, 10, 14) / count(plain, 10, 14) < 2.8
    assert len({t.tx_id for t in transactions(items)}) == len(transactions(items))


@pytest.mark.parametrize("kind", ["sudden", "gradual", "seasonal"])
def test_drift_changes_amounts_and_nothing_else(world, plain, kind):
    items = played(world, Drift(kind=kind, from_="6h", until="18h", amounts=3.0))
    start = WorldSource(world, FIRST_DAY).start_ms
    ratios = {}
    for was, now in zip(transactions(plain), transactions(items), strict=True):
        assert (was.tx_id, was.ts, was.card_id) == (now.tx_id, now.ts, now.card_id)
        ratios.setdefault((was.ts - start) // HOUR, []).append(now.amount_cents / was.amount_cents)
    mean = {hour: sum(values) / len(values) for hour, values in ratios.items()}
    assert mean[2] == 1
    expected = {"sudden": (3, 3, 1), "gradual": (1.25, 2.9, 3), "seasonal": (1.1, 1.1, 1.1)}[kind]
    for hour, factor in zip((7, 17, 18), expected, strict=True):
        assert mean[hour] == pytest.approx(factor, abs=0.3)
    if kind == "seasonal":
        assert mean[12] == pytest.approx(3, abs=0.3)
    amounts = {t.tx_id: t.amount_cents for t in transactions(items)}
    for item in items:
        if isinstance(item.event, Label) and item.event.tx_id in amounts:
            assert item.event.amount_cents == amounts[item.event.tx_id]


def test_drift_of_a_category_leaves_the_others(world, plain):
    items = played(world, Drift(kind="sudden", from_="0s", until="1d", amounts=2.0, category="grocery"))
    changed = [
        was.mcc
        for was, now in zip(transactions(plain), transactions(items), strict=True)
        if was.amount_cents != now.amount_cents
    ]
    assert set(changed) == {5411}


def test_an_outage_leaves_out_transactions_truth_and_labels(world, plain):
    busiest = Counter(t.merchant_id for t in transactions(plain)).most_common(1)[0][0]
    items = played(world, Outage(merchant=busiest, from_="2h", until="20h"))
    start = WorldSource(world, FIRST_DAY).start_ms
    gone = {
        t.tx_id
        for t in transactions(plain)
        if t.merchant_id == busiest and start + 2 * HOUR <= t.ts < start + 20 * HOUR
    }
    assert gone
    kept = [i for i in plain if getattr(i.event, "tx_id", None) not in gone]
    assert items == kept


def shifts(plain, items):
    """By how much each transaction's event time is off; nothing else may differ, nor may its labels'."""
    assert [(i.due_ms, i.topic) for i in items] == [(i.due_ms, i.topic) for i in plain]
    was = {t.tx_id: t.ts for t in transactions(plain)}
    off = {t.tx_id: t.ts - was[t.tx_id] for t in transactions(items)}
    for before, after in zip(plain, items, strict=True):
        if isinstance(before.event, Label) and before.event.tx_id in off:
            assert after.event.ts - before.event.ts == off[before.event.tx_id]
    return [off[t.tx_id] for t in transactions(plain)]


@pytest.mark.parametrize("limits", [0.5, 2.0])
def test_late_records_are_behind_by_multiples_of_the_limit(world, plain, limits):
    off = shifts(plain, played(world, Fault(kind="late", from_="0s", until="10h", share=0.2, limits=limits)))
    assert set(off) == {0, -round(limits * past_limit_ms(SPEED))}
    early = [
        by for by, tx in zip(off, transactions(plain), strict=True) if tx.ts < plain[0].due_ms + 10 * HOUR
    ]
    assert 0.15 < sum(by != 0 for by in early) / len(early) < 0.25
    assert not any(off[len(early) :])


def test_out_of_order_records_stay_within_half_the_limit(world, plain):
    fault = Fault(kind="out_of_order", from_="0s", until="1d", share=0.5, limits=0.5)
    off = shifts(plain, played(world, fault))
    assert max(off) == 0
    assert min(off) >= -0.5 * past_limit_ms(SPEED)
    assert len(set(off)) > 50


def test_a_skewed_clock_is_ahead(world, plain):
    fault = Fault(kind="clock_skewed", from_="0s", until="1d", share=0.2, limits=2.0)
    assert set(shifts(plain, played(world, fault))) == {0, 2 * future_limit_ms(SPEED)}


def test_duplicates_repeat_and_lose_nothing(world, plain):
    items = played(world, Fault(kind="duplicated", from_="0s", until="23h", share=0.2))
    counts = Counter(t.tx_id for t in transactions(items))
    assert set(counts) == {t.tx_id for t in transactions(plain)}
    assert set(counts.values()) == {1, 2}


def test_malformed_records_are_further_ones_that_no_reader_accepts(world, plain):
    items = played(world, Fault(kind="malformed", from_="0s", until="23h", share=0.3))
    assert transactions(items) == transactions(plain)
    raw = [i.event.value for i in items if isinstance(i.event, RawValue)]
    rejected = [read_event(value, decode_transaction) for value in raw]
    assert all(isinstance(r, Rejected) for r in rejected)
    assert {r.field for r in rejected} >= {"amount_cents", "card_id", "schema_version", "value"}
    whole = encoder.encode(transactions(plain)[0])
    assert isinstance(read_event(whole, decode_transaction), Transaction)


def test_what_needs_a_world_says_so(world):
    script = Script(version=1, events=[Peak(from_="1h", until="2h", times=2)])
    with pytest.raises(FraudsimError, match=r"event 1 \(peak\) needs the world"):
        ScriptedSource(WorldSource(world, FIRST_DAY), script, SPEED, None)


def test_truth_stays_with_its_transaction(world):
    items = played(world, Attack(typology="leaked_card", at="1h"), Peak(from_="1h", until="3h", times=2))
    txs = {t.tx_id for t in transactions(items)}
    truths = [i.event.tx_id for i in items if isinstance(i.event, Truth)]
    assert len(truths) == len(set(truths))
    assert set(truths) < txs
    assert set(truths) == {i.event.tx_id for i in items if i.topic == TRANSACTIONS and i.campaign_id}

"""Controls: which count, what follows from them, and what junk on their topic does."""

from types import SimpleNamespace

import msgspec
import pytest

from fraudsim import metrics
from fraudsim.log.events import Label, RunControl, Transaction, encoder
from fraudsim.log.topics import LABELS, TRANSACTIONS, TRUTH
from producers.controls.attack import records_of
from producers.controls.control_log import ControlLog
from producers.controls.controlled_source import ControlledSource
from producers.controls.controls import Controls, Placement, describe, problem_of
from producers.controls.drift import Drifts
from producers.sources.world_source import WorldSource
from producers.world.config import WorldConfig
from producers.world.world import World
from testing.samples.log import T0

FIRST_DAY = 30


@pytest.fixture(scope="module")
def world():
    return World(WorldConfig(cards=400, seed=5))


def control(kind, control_id="c1", ts=T0, **fields):
    return RunControl(control_id=control_id, kind=kind, ts=ts, **fields)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (control("attack"), "typology: a attack needs it"),
        (control("attack", typology="nothing"), "typology: 'nothing' is none of"),
        (control("attack", typology="lost_card", tempo=2.0), "tempo: lost_card goes at its own pace"),
        (control("pause", seconds=3.0), "seconds: a pause has none"),
        (control("stop", part="worker"), "seconds: a stop needs it"),
        (control("policy", version="../etc"), "version: '../etc' is none of shipped, previous"),
        (control("placed"), None),
        (control("attack", typology="card_testing", tempo=9.0, campaigns=3, camouflage=0.0), None),
    ],
)
def test_a_control_has_what_its_kind_needs_and_no_more(asked, problem):
    found = problem_of(asked)
    assert (found is None) == (problem is None)
    assert problem is None or found.startswith(problem)


@pytest.mark.parametrize(
    "value",
    [
        {"share": 2}, {"share": 0}, {"seconds": 1e9}, {"campaigns": 10**9}, {"tempo": 1e9}, {"amounts": 0},
        {"part": "kafka"}, {"kind": "other"}, {"ts": -1}, {"control_id": "a b"}, {"schema_version": 2},
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_no_controls(value):
    plain = {"control_id": "c1", "kind": "rate", "ts": T0, "share": 0.5}
    msgspec.json.decode(msgspec.json.encode(plain), type=RunControl)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(plain | value), type=RunControl)


def test_the_first_of_an_id_counts_and_a_place_needs_its_request():
    controls = Controls()
    assert "nothing to be placed" in controls.add(control("placed"))
    assert controls.add(control("attack", typology="card_testing")) is None
    assert "occurs before" in controls.add(control("drift", amounts=2.0))
    assert [c.control_id for c in controls.unplaced()] == ["c1"]
    assert controls.add(control("placed", ts=T0 + 5)) is None
    assert "has its place already" in controls.add(control("placed", ts=T0 + 9))
    assert [p.at_ms for p in controls.placements] == [T0 + 5]
    assert not list(controls.unplaced())
    assert "nothing to be placed" in controls.add(control("placed", control_id="c2"))


def test_rate_and_pause_in_force_are_the_latest():
    controls = Controls()
    for n, asked in enumerate(
        [("rate", {"share": 0.5}), ("pause", {}), ("rate", {"share": 0.2}), ("resume", {})]
    ):
        kind, fields = asked
        controls.add(control(kind, f"c{n}", **fields))
        assert (controls.share, controls.paused) == [(0.5, False), (0.5, True), (0.2, True), (0.2, False)][n]


def test_junk_on_the_topic_is_skipped_and_counted():
    log, before = ControlLog("nowhere:1"), metrics.CONTROL_SKIPPED._value.get()
    good = encoder.encode(control("pause"))
    values = [None, b"", b"\xff", b"{}", b'{"control_id":' * 3000, b"x" * 70_000, good[:-1], good, good]
    for offset, value in enumerate(values):
        log.add_record(SimpleNamespace(value=value, offset=offset, headers=(), timestamp=1))
    assert list(log.controls.requests) == ["c1"]
    assert metrics.CONTROL_SKIPPED._value.get() == before + 8


def test_an_attack_is_the_same_each_time_begins_at_its_place_and_has_truth_and_labels(world):
    asked = control("attack", typology="card_testing", campaigns=4, camouflage=0.0, tempo=10.0)
    placement = Placement(asked, T0 + 12 * 3_600_000)
    items = records_of(placement, world)
    assert items == records_of(placement, World(WorldConfig(cards=400, seed=5)))
    txs = [i for i in items if i.topic == TRANSACTIONS]
    truths = {i.event.tx_id: i.event for i in items if i.topic == TRUTH}
    assert min(i.due_ms for i in txs) == placement.at_ms
    assert {t.tx_id for t in truths.values()} == {i.event.tx_id for i in txs}
    assert {t.campaign_id for t in truths.values()} == {f"c1-{n}" for n in range(4)}
    assert {i.event.tx_id for i in items if i.topic == LABELS} <= truths.keys()
    other = records_of(Placement(msgspec.structs.replace(asked, control_id="c2"), placement.at_ms), world)
    assert not truths.keys() & {i.event.tx_id for i in other if i.topic == TRUTH}


def test_an_attack_later_than_what_was_sent_leaves_that_as_it_is(world):
    plain = WorldSource(world, FIRST_DAY)
    at_ms = plain.start_ms + 3_600_000
    placement = Placement(control("attack", typology="bin_attack"), at_ms)
    controlled = ControlledSource(plain, [placement], world)
    assert controlled.name != plain.name
    before = []
    for mine, theirs in zip(controlled.items(), plain.items(), strict=False):
        if mine.due_ms > at_ms:
            break
        before.append(mine == theirs)
    assert len(before) > 10
    assert before.count(False) <= sum(i.due_ms == at_ms for i in records_of(placement, world))


def test_a_drift_changes_what_is_later_until_the_next():
    drifts = Drifts()
    for n, (at, amounts) in enumerate([(10, 2.0), (20, 0.5), (30, 1.0)]):
        drifts.add(Placement(control("drift", f"c{n}", amounts=amounts), T0 + at))
    drifts.add(Placement(control("attack", "c9", typology="bin_attack"), T0))

    def cents(after):
        tx = Transaction(tx_id="t", ts=T0 + after, card_id="c", amount_cents=100)
        label = Label(tx_id="t", card_id="c", ts=T0 + after, amount_cents=100, is_fraud=True,
                      source="customer", known_at=T0 + 99)  # fmt: skip
        assert drifts.applied(label).amount_cents == drifts.applied(tx).amount_cents
        return drifts.applied(tx).amount_cents

    assert [cents(after) for after in (0, 10, 11, 20, 21, 31)] == [100, 100, 200, 200, 50, 100]


def test_a_control_is_described_by_what_it_has():
    asked = control("attack", typology="card_testing", campaigns=3, tempo=2.5)
    assert describe(asked) == "attack card_testing, 3 campaigns, 2.5 tempo"
    assert describe(control("pause")) == "pause"

"""The rules of stages, one at a time."""

import msgspec
import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label
from lifecycle.evidence.card_tallies import CardTallies
from lifecycle.evidence.money import MoneyRule, read_money
from lifecycle.experiment.controller import DAY_MS, Look, advance, begin_stage
from lifecycle.experiment.observer import SeenPayment, StageObserver
from lifecycle.experiment.stages import STAGES, stages_of
from lifecycle.experiment.state import ExperimentState, read_state, write_state

STATE = ExperimentState(champion="a" * 16, challenger="b" * 16, salt="s")


def tallies(rng, cards=2_000, share=0.25, **of_b):
    """Cards with fifty payments each; rates of B may differ."""
    seen = CardTallies()
    rates = {"declines": 0.02, "alerts": 0.06, "errors": 0.0, "reports": 0.002}
    for number in range(cards):
        in_b = number < cards * share
        chosen = {**rates, **(of_b if in_b else {})}
        counts = {name: float(rng.binomial(50, rate)) for name, rate in chosen.items()}
        seen.add(f"c{number}", in_b, {"payments": 50.0, **counts})
    return seen


def money(rng, cards=2_000, share=0.25, factor=1.0, spread=0.3):
    seen = CardTallies()
    for number in range(cards):
        in_b = number < cards * share
        loss = rng.lognormal(5, spread) * (factor if in_b else 1.0)
        seen.add(f"c{number}", in_b, {"loss": loss, "parted_loss": loss, "parted": 1.0})
    return seen


def at(stage: int, days: float, seen, mature=None, misassigned=0):
    state = begin_stage(STATE, stage, Look(0, CardTallies(), CardTallies()))
    return advance(state, Look(round(days * DAY_MS), seen, mature or CardTallies(), misassigned))


def test_a_stage_stays_until_its_days_are_over_and_then_the_next_one_begins():
    rng = np.random.default_rng(1)
    assert at(3, 27.9, tallies(rng)).stage == 3
    before = at(2, 6.9, tallies(rng, share=0.05))
    after = at(2, 7.0, tallies(rng, share=0.05))
    assert (before.stage, after.stage, after.status) == (2, 3, "running")
    assert (after.mixtures, after.began_ms) == ({}, 7 * DAY_MS)


@pytest.mark.parametrize(
    ("rates", "name"),
    [
        ({"declines": 0.05}, "decline"),
        ({"alerts": 0.15}, "alert"),
        ({"alerts": 0.01}, "alert"),
        ({"errors": 0.02}, "error"),
        ({"reports": 0.008}, "reported fraud"),
    ],
)
def test_a_guard_that_is_crossed_rolls_back_at_once(rates, name):
    state = at(3, 1.0, tallies(np.random.default_rng(2), **rates))
    assert state.status == "rolled back"
    assert state.reason.startswith(f"guard crossed: {name} rate")
    assert "\n" not in state.reason


def test_equal_arms_cross_no_guard():
    rng = np.random.default_rng(3)
    assert all(at(3, 1.0, tallies(rng)).running for _ in range(20))


def test_cards_in_the_wrong_arm_and_a_wrong_proportion_roll_back():
    rng = np.random.default_rng(4)
    assert "another arm" in at(3, 1.0, tallies(rng), misassigned=1).reason
    assert "sample ratio" in at(3, 1.0, tallies(rng, share=0.15)).reason


def test_money_decides_only_where_enough_would_be_found():
    rng = np.random.default_rng(5)
    costly, noisy = money(rng, factor=1.5), money(rng, factor=1.5, spread=3.0)
    rolled = at(3, 15.0, tallies(rng), costly)
    assert (rolled.status, rolled.money.tested) == ("rolled back", True)
    untold = at(3, 28.0, tallies(rng), noisy)
    assert (untold.status, untold.money.tested) == ("undecided", False)
    assert "minimum detectable effect" in untold.reason
    early = at(2, 6.0, tallies(rng, share=0.05), money(rng, share=0.05, factor=1.5))
    assert early.running
    promoted = at(3, 28.0, tallies(rng), money(rng, factor=0.9))
    assert (promoted.status, promoted.money.tested) == ("promoted", True)


def test_an_experiment_goes_on_from_its_file(tmp_path):
    state = at(3, 1.0, tallies(np.random.default_rng(6)), money(np.random.default_rng(6)))
    assert read_state(tmp_path) is None
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    (tmp_path / "experiment.json").write_text('{"champion": 1}')
    with pytest.raises(FraudsimError, match=r"experiment\.json: .*champion"):
        read_state(tmp_path)


def payment(number, ts, action="approve", in_b=False, cents=0.0):
    return SeenPayment(f"t{number}", f"c{number}", ts, in_b, action, False, False, False, None, cents, 0.0)


def label(number, ts, known_ms, is_fraud, source):
    return Label(
        tx_id=f"t{number}", card_id=f"c{number}", ts=ts, amount_cents=1_000, is_fraud=is_fraud, source=source,
        known_at=known_ms,
    )  # fmt: skip


def test_net_loss_counts_at_one_age_and_only_of_this_stage():
    seen = StageObserver(7.0)
    seen.restart(10 * DAY_MS)
    seen.add_payment(payment(0, 9 * DAY_MS, cents=1.0))
    for number in (1, 2, 3):
        seen.add_payment(payment(number, 10 * DAY_MS + number, cents=5.0, in_b=number == 3))
    seen.add_label(label(0, 9 * DAY_MS, 11 * DAY_MS, True, "customer"))
    seen.add_label(label(1, 10 * DAY_MS + 1, 12 * DAY_MS, True, "customer"))
    seen.add_label(label(2, 10 * DAY_MS + 2, 18 * DAY_MS, True, "chargeback"))  # too late to count
    assert len(seen.mature(17 * DAY_MS)) == 0
    mature = seen.mature(18 * DAY_MS)
    assert mature["loss"].tolist() == [1_005.0, 5.0, 5.0]
    assert seen.tallies["reports"].tolist() == [1.0, 1.0, 0.0]
    assert mature.in_b.tolist() == [False, False, True]


def test_only_what_comes_since_the_arms_part_on_a_card_counts_for_the_difference():
    seen = StageObserver(7.0)
    seen.restart(10 * DAY_MS)
    first = 10 * DAY_MS
    for hour, (cents, differs) in enumerate(((3.0, False), (5.0, True), (7.0, False))):
        seen.add_payment(payment(1, first + hour, cents=cents)._replace(differs=differs))
    seen.add_payment(payment(2, first, cents=11.0))
    # A report of a payment before the arms parted is no part of it, one of a later payment is.
    seen.add_label(label(1, first, first + 9, True, "customer"))
    seen.add_label(label(1, first + 2, first + 9, True, "customer"))
    mature = seen.mature(18 * DAY_MS)
    assert mature["loss"].tolist() == [2_015.0, 11.0]
    assert mature["parted_loss"].tolist() == [1_012.0, 0.0]
    assert (mature["parted"] > 0).tolist() == [True, False]
    # In the next stage the card has parted from the start.
    seen.restart(18 * DAY_MS)
    seen.add_payment(payment(1, 18 * DAY_MS, cents=2.0))
    assert seen.mature(26 * DAY_MS)["parted_loss"].tolist() == [2.0]


def test_a_capped_loss_and_the_loss_before_are_shown_beside_what_decides():
    rng = np.random.default_rng(7)
    seen = money(rng, factor=1.5)
    for number in range(2_000):
        seen.add(f"c{number}", number < 500, {"loss": float(rng.gamma(1.0, 50.0))})
    reading = at(3, 15.0, tallies(rng), seen).money
    assert (reading.parted_of_b, reading.parted_of_a) == (500, 1_500)
    assert reading.before.low < 0 < reading.before.high
    assert reading.capped.difference == pytest.approx(reading.difference)
    capped = read_money(
        MoneyRule(weeks=1, planned_weeks=3, tests=True, worth=0.1, cap_cents=100.0), seen, {}
    ).capped
    assert abs(capped.difference) < 0.1 * abs(reading.difference)
    assert len(list(reading.lines)) == 4


def test_where_the_arms_parted_on_a_few_cards_money_is_not_read():
    seen = CardTallies()
    for number in range(2_000):
        parted = float(number % 70 == 0)  # 29 of A's and of B's
        seen.add(f"c{number}", number < 1_000, {"loss": 5.0, "parted_loss": 5.0 * parted, "parted": parted})
    rule = MoneyRule(weeks=1, planned_weeks=3, tests=True, worth=0.1)
    assert read_money(rule, seen, {}) is None


def test_answers_and_verdicts_are_counted_by_what_was_asked():
    seen = StageObserver(7.0)
    seen.restart(0)
    for number, action in enumerate(("step_up", "step_up", "review", "review")):
        seen.add_payment(payment(number, 5, action))
    seen.add_label(label(0, 5, 6, True, "customer"))
    seen.add_label(label(1, 5, 6, False, "customer"))
    seen.add_label(label(2, 5, 6, False, "analyst"))
    seen.add_label(label(3, 5, 6, True, "analyst"))
    sums = {name: seen.tallies[name].sum() for name in ("step_ups", "denials", "verdicts", "cleared")}
    assert sums == {"step_ups": 2, "denials": 1, "verdicts": 2, "cleared": 1}
    # Nothing held that review, so the fraud went through.
    assert seen.tallies["reports"].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("text", ["5%", "5:", "x:1", "5%:0", "100%:3", "5%:3,1%:3"])
def test_stages_that_cannot_be_read_are_refused_by_name(text):
    with pytest.raises(FraudsimError, match="--stages"):
        stages_of(text)


def test_the_shipped_stages_can_be_written():
    again = stages_of("shadow:3,1%:7,5%:7,25%:28")
    assert msgspec.to_builtins(again) == msgspec.to_builtins(STAGES)

"""The study of value: footprints, break-even volumes and the cheapest regime, by hand; and one run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.ledger.comparison import Difference
from simulator.regimes import REGIMES, regime_of
from stream_features.catalogue.features import DAY, MINUTE
from studies.comparison.figures import ArmRow
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import WorldSpec
from studies.value.cell import run_cell
from studies.value.definition import volume_text
from studies.value.footprint import MONTH_S, SOURCES, WEEKS_A_MONTH, Footprint
from studies.value.plan import FRESH, ValuePlan, condition_name, job_name
from studies.value.prices import break_even, cheapest, saved_a_payment

LINE, NIGHTLY = REGIMES[FRESH], regime_of("micro-batch", DAY, 0)
QUARTER = regime_of("micro-batch", 15 * MINUTE, 0)
COSTS = Footprint()


def test_a_small_line_costs_its_replicas_and_its_people():
    shared = 2 * 75 + 2 * 110
    line = shared + 3 * 150 + 2 * 75 + WEEKS_A_MONTH * 500 + 8 * 60
    assert COSTS.month(LINE, 1_000) == pytest.approx(line)
    assert COSTS.month(NIGHTLY, 1_000) == pytest.approx(shared + 75 + 3 * 60)
    assert COSTS.month(QUARTER, 1_000) == pytest.approx(shared + 75 + 3 * 60 + WEEKS_A_MONTH * 500)


def test_machines_grow_with_the_peak():
    volume = 12_000 * MONTH_S  # 60,000 a second at the peak
    line, job = COSTS.month(LINE, volume), COSTS.month(NIGHTLY, volume)
    assert line - job == pytest.approx(3 * 150 + 6 * 75 + WEEKS_A_MONTH * 500 + 8 * 60 - 75 - 3 * 60)


def test_an_unknown_or_wrong_price_is_named():
    with pytest.raises(FraudsimError, match="FRAUDSIM_FOOTPRINT__BROKERZ is not known; there are broker, "):
        Footprint.of({"brokerz": 1})
    with pytest.raises(FraudsimError, match="FRAUDSIM_FOOTPRINT__NODE=-1 must be a number, 0 or more"):
        Footprint.of({"node": -1})
    with pytest.raises(FraudsimError, match="FRAUDSIM_FOOTPRINT__JOB_RATE=0 must be more than 0"):
        Footprint.of({"job_rate": 0})
    assert Footprint.of({"node": 80}).node == 80
    assert set(SOURCES) == set(Footprint.__dataclass_fields__)


@given(st.floats(1e-7, 1.0))
def test_a_line_pays_from_its_break_even_on_and_not_below(saved):
    volume = break_even(saved, COSTS, LINE, NIGHTLY)
    assert volume is not None

    def balance(payments: float) -> float:
        return saved * payments - (COSTS.month(LINE, payments) - COSTS.month(NIGHTLY, payments))

    assert balance(volume) >= 0
    assert volume == 1 or balance(volume / 1.02) < 0


def test_what_saves_nothing_never_pays():
    assert break_even(0.0, COSTS, LINE, NIGHTLY) is None
    assert break_even(-1.0, COSTS, LINE, NIGHTLY) is None
    assert volume_text(None) == "never"


def row(arm: str, cents: float) -> ArmRow:
    return ArmRow(
        arm=arm, condition="w", net_loss=1e6, against_base=Difference(3, cents, cents - 50, cents + 50),
        insults_a_week=1, analyst_hours_a_week=1, alert_share=2, paid_share=40,
        measures={"payments": 10_000.0, "fraud rate": 1.0},
    )  # fmt: skip


def test_the_cheapest_regime_changes_with_the_volume():
    rows = [row("quarter", 20_000), row("nightly", 100_000)]
    regimes = {FRESH: LINE, "quarter": QUARTER, "nightly": NIGHTLY}
    saved = saved_a_payment(rows[1])
    assert saved.mean == pytest.approx(0.1)
    assert saved.low == pytest.approx(0.09995)
    for volume in (1e2, 2.5e4, 1e5, 1e7):
        name, costs = cheapest(rows, regimes, COSTS, volume)
        base = COSTS.month(LINE, volume)
        by_hand = {
            FRESH: 0.0,
            "quarter": 0.02 * volume + COSTS.month(QUARTER, volume) - base,
            "nightly": 0.1 * volume + COSTS.month(NIGHTLY, volume) - base,
        }
        assert costs == pytest.approx(by_hand)
        assert name == min(by_hand, key=by_hand.__getitem__)
    assert cheapest(rows, regimes, COSTS, 1e2)[0] == "nightly"
    assert cheapest(rows, regimes, COSTS, 1e7)[0] == FRESH


def test_a_run_is_of_its_tempo_and_scale(tmp_path):
    plan = ValuePlan((DAY,), ((1.0, 12.0),), WorldSpec(300, 30, 2), 2, 2)
    condition = condition_name(1.0, 12.0)
    assert dict(plan.spec_at(condition).world) == {"tempo": 1.0, "fraud_scale": 12.0}
    figures = run_cell(plan, StudyCell(job_name(DAY), condition, 1), Settings(_env_file=None), tmp_path)
    assert figures.measures["payments"] == pytest.approx(figures.line.decisions / 0.3 / 2 * 7)
    assert 1 < figures.measures["fraud rate"] < 20

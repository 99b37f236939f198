"""The world's benchmark: the rival is the published algorithm, and the report has the common shape."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from load_tests.benches.producers.handbook_algorithm import (
    CUSTOMER_DAYS,
    DAY_S,
    LARGE_AMOUNT,
    RADIUS,
    TERMINAL_DAYS,
    Customer,
    SimulatedTable,
    add_frauds,
    customer_profiles,
    simulate,
    terminal_profiles,
    terminals_within_radius,
    transactions_of,
)
from load_tests.cli import app

CUSTOMERS, DAYS = 800, 20


@pytest.fixture(scope="module")
def table() -> SimulatedTable:
    return simulate(CUSTOMERS, DAYS)


def test_profiles_are_as_published() -> None:
    profiles = customer_profiles(2000, 0)
    amounts = np.array([customer.mean_amount for customer in profiles])
    rates = np.array([customer.mean_nb_tx_per_day for customer in profiles])
    assert 5 <= amounts.min() < amounts.max() <= 100
    assert 0 <= rates.min() < rates.max() <= 4
    assert amounts.mean() == pytest.approx(52.5, abs=3)
    assert rates.mean() == pytest.approx(2, abs=0.15)
    assert all(customer.std_amount == customer.mean_amount / 2 for customer in profiles)


def test_customers_pay_within_the_radius(table: SimulatedTable) -> None:
    profiles, terminals = customer_profiles(CUSTOMERS, 0), terminal_profiles(2 * CUSTOMERS, 1)
    homes = np.array([(customer.x, customer.y) for customer in profiles])
    distances = np.hypot(*(homes[table.customer] - terminals[table.terminal]).T)
    assert distances.max() < RADIUS
    alone = Customer(0, -100.0, -100.0, 50.0, 25.0, 4.0)
    assert terminals_within_radius(alone, terminals) == []
    assert transactions_of(alone, [], DAYS) == []


def test_times_and_amounts_are_as_published() -> None:
    customer = Customer(1, 50.0, 50.0, 60.0, 30.0, 4.0)
    rows = transactions_of(customer, [3, 4], 1500)
    second = np.array([row[0] for row in rows]) % DAY_S
    amount = np.array([row[3] for row in rows])
    # The share of a normal (43,200, 20,000) within the day is 0.969.
    assert len(rows) / 1500 == pytest.approx(4 * 0.969, rel=0.05)
    assert second.mean() == pytest.approx(DAY_S / 2, rel=0.02)
    assert amount.min() >= 0
    assert np.median(amount) == pytest.approx(60, rel=0.05)
    assert {row[2] for row in rows} == {3, 4}


def test_the_table_is_in_order_and_repeats(table: SimulatedTable) -> None:
    assert (np.diff(table.time_s) >= 0).all()
    again = simulate(CUSTOMERS, DAYS)
    assert np.array_equal(again.amount, table.amount)
    assert np.array_equal(again.scenario, table.scenario)


def test_a_large_amount_is_fraud_and_the_other_scenarios_have_the_size_that_was_published(
    table: SimulatedTable,
) -> None:
    assert (table.scenario[table.amount > LARGE_AMOUNT] > 0).all()
    assert (table.amount[table.scenario == 1] > LARGE_AMOUNT).all()
    by_terminal = table.scenario == 2
    drawn = {
        terminal
        for day in range(DAYS - 1)
        for terminal in np.random.RandomState(day).choice(2 * CUSTOMERS, size=2, replace=False).tolist()
    }
    assert set(table.terminal[by_terminal].tolist()) <= drawn
    # Three customers a day, a third of what they pay in the days left of their fortnight.
    expected = sum(3 * min(CUSTOMER_DAYS, DAYS - day) for day in range(DAYS - 1)) / (3 * CUSTOMERS * DAYS)
    assert (table.scenario == 3).mean() == pytest.approx(expected, rel=0.35)


def test_a_compromised_terminal_is_fraud_for_four_weeks() -> None:
    days = 60
    table = SimulatedTable(
        time_s=np.arange(days, dtype=np.int64) * DAY_S,
        customer=np.arange(days, dtype=np.int64) + 1000,
        terminal=np.full(days, int(np.random.RandomState(0).choice(5000, size=2, replace=False)[0])),
        amount=np.full(days, 10.0),
        scenario=np.zeros(days, np.int64),
    )
    add_frauds(table, 10, 5000)
    assert (table.scenario[:TERMINAL_DAYS] == 2).all()
    assert (table.scenario[TERMINAL_DAYS:] == 0).all()


def test_stolen_details_multiply_amounts_by_five() -> None:
    table = SimulatedTable(
        time_s=np.repeat(np.arange(2, dtype=np.int64) * DAY_S, 300),
        customer=np.zeros(600, np.int64),
        terminal=np.full(600, 10**6),
        amount=np.full(600, 10.0),
        scenario=np.zeros(600, np.int64),
    )
    add_frauds(table, 1, 10)
    assert (table.scenario == 3).sum() == 200
    assert set(table.amount[table.scenario == 3].tolist()) == {50.0}
    assert set(table.amount[table.scenario == 0].tolist()) == {10.0}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["fraudsim", "handbook"]),
        (["--workers", "2"], ["fraudsim", "handbook", "fraudsim, 2 workers"]),
    ],
)
def test_the_report_has_machine_protocol_results_and_ratios(
    tmp_path: Path, options: list[str], names: list[str]
) -> None:
    out = tmp_path / "world.json"
    sizes = ["--cards", "60", "--days", "4", "--turns", "1"]
    outcome = CliRunner().invoke(app, ["bench", "world", "--json", str(out), *sizes, *options])
    assert outcome.exit_code == 0, outcome.output
    assert len(outcome.output.splitlines()) == 1
    report = json.loads(out.read_text())
    assert {"cpu", "cores", "memory_gib", "versions"} <= report["machine"].keys()
    assert "Handbook" in report["protocol"]
    assert [result["name"] for result in report["results"]] == names
    for result in report["results"]:
        assert result["unit"] == "tx/s"
        assert result["rows"] > 0
        assert result["seconds"] > 0
        assert result["value"] > 0
        assert len(result["turns"]) == 1
    ours, rival, *with_workers = (result["value"] for result in report["results"])
    ratios = (ours / rival, *(rate / ours for rate in with_workers))
    expected = dict(zip(("handbook", "one_worker"), ratios, strict=False))
    assert report["ratios"] == pytest.approx(expected, rel=0.05, abs=0.01)
    assert len({result["rows"] for result in report["results"] if "fraudsim" in result["name"]}) == 1

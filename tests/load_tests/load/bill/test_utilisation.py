"""The bill: fits of linear costs, and what they predict."""

import json

import pytest

from fraudsim.errors import FraudsimError
from load_tests.load.bill.command import run_bill
from load_tests.load.bill.utilisation import CostStep, fit_processes, predicted_capacity, processes_needed


def step(rate: float) -> CostStep:
    shares = {"scorer": 0.05 + rate * 400e-6, "worker": 0.02 + rate * 100e-6, "kafka": 0.1 + rate * 300e-6}
    return CostStep(rate, shares, dict.fromkeys(shares, 100.0))


def test_linear_costs_are_fitted_and_the_first_full_resource_named():
    fits = {fit.name: fit for fit in fit_processes([step(rate) for rate in (100, 200, 400)])}
    assert fits["scorer"].fixed_share == pytest.approx(0.05)
    assert fits["scorer"].marginal_us == pytest.approx(400)
    assert predicted_capacity([*fits.values()], 8) == (pytest.approx(0.95 / 400e-6), "the core of scorer")
    assert predicted_capacity([*fits.values()], 1) == (pytest.approx(0.83 / 800e-6), "all 1 cores")
    assert processes_needed(fits["scorer"], 10_000) == 6
    assert processes_needed(fits["kafka"], 10_000) == 1


def test_one_rate_and_falling_costs_give_no_negative_costs():
    (fit,) = fit_processes([CostStep(100, {"scorer": 0.2}, {})])
    assert (fit.fixed_share, fit.marginal_us) == (0.0, pytest.approx(2000))
    (fit,) = fit_processes([CostStep(r, {"scorer": s}, {}) for r, s in ((100, 0.2), (200, 0.1))])
    assert fit.marginal_us == 0
    (fit,) = fit_processes([CostStep(r, {"scorer": s}, {}) for r, s in ((100, 0.1), (200, 0.4))])
    assert fit.fixed_share == 0


def capacity_folder(tmp_path, **changes):
    steps = [
        {
            "costs": {
                "transactions": rate * 10,
                "seconds": 10.0,
                "processes": {
                    name: {"core_share": share, "memory_mb": 100.0}
                    for name, share in step(rate).core_share.items()
                },
            }
        }
        for rate in (200, 400, 800, 1600)
    ]
    result = {"format": 1, "kind": "capacity", "rate": 2000.0, "steps": steps, **changes}
    (tmp_path / "result.json").write_text(json.dumps(result))
    return tmp_path


def test_a_bill_is_fitted_below_half_load_and_checked_against_the_capacity(tmp_path):
    lines = []
    assert run_bill(capacity_folder(tmp_path), tmp_path / "bill", [500.0, 65_000.0], lines.append) == 0
    bill = json.loads((tmp_path / "bill" / "result.json").read_text())
    assert bill["fitted_up_to"] == 800
    assert bill["check"]["measured"] == 2000
    assert bill["check"]["error"] == pytest.approx(bill["check"]["predicted"] / 2000 - 1, abs=1e-3)
    assert [line["extrapolated"] for line in bill["rates"]] == [False, True]
    assert bill["rates"][0]["cores"] == pytest.approx(0.17 + 0.4, abs=0.01)
    assert "(extrapolated)" in lines[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "http"}, "no capacity of this version"),
        ({"rate": None, "why": "late"}, "no capacity was measured"),
        ({"rate": 10.0}, "below half"),
    ],
)
def test_what_is_no_capacity_is_named(tmp_path, changes, message):
    with pytest.raises(FraudsimError, match=message):
        run_bill(capacity_folder(tmp_path, **changes), tmp_path / "bill", [1.0], print)

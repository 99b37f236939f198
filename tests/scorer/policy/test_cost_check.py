"""`policy check` says how far a policy's costs are from the consequences of the world it serves."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from fraudsim.cli import build
from fraudsim.settings import load_settings
from model.artefact.costs import Costs
from producers.labels.consequences import Consequences
from scorer.policy.cost_check import cost_lines, differing_costs
from scorer.policy.file import POLICY_FILE, SHIPPED, load_policy

EARLIER = {
    "review_cost_cents": 400,
    "review_misses": 0.08,
    "step_up_misses": 0.25,
    "step_up_insult_share": 0.08,
}


@pytest.fixture
def earlier(tmp_path):
    """A policy of the earlier format: it knows of no holds."""
    folder = tmp_path / "earlier"
    shutil.copytree(SHIPPED, folder)
    spec = json.loads((folder / POLICY_FILE).read_text())
    spec["format_version"] = 1
    spec["act_by"]["costs"] = EARLIER
    (folder / POLICY_FILE).write_text(json.dumps(spec))
    return folder


def test_the_shipped_policy_has_the_costs_of_the_default_consequences():
    policy = load_policy(SHIPPED)
    assert differing_costs(policy, Costs.of(Consequences())) == {}
    assert list(cost_lines(policy, Costs())) == [
        "  costs: those that follow from the consequences (FRAUDSIM_CONSEQUENCES__…)"
    ]


def test_a_policy_of_the_earlier_format_means_what_it_meant(earlier):
    costs = load_policy(earlier).act_by["champion"].costs
    assert (costs.step_up_misses, costs.step_up_insult_share) == (0.25, 0.08)
    assert costs.review_misses == costs.unheld_review_misses == 0.08
    assert (costs.review_insult_share, costs.hold_cost_cents) == (0, 0)


def test_the_command_names_each_cost_that_differs_and_by_how_much(earlier, monkeypatch):
    load_settings.cache_clear()
    monkeypatch.setenv("FRAUDSIM_CONSEQUENCES__REVIEW_MINUTES", "20")
    try:
        output = CliRunner().invoke(build(), ["policy", "check", str(earlier)]).output
    finally:
        load_settings.cache_clear()
    assert "6 of 10 are not those of the consequences" in output
    assert "step_up_misses 0.25, by the consequences 0.045, 5.56 times" in output
    assert "review_cost_cents 400, by the consequences 800, 0.5 times" in output

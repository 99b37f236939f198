"""The ledger of an archived run, its tables, and the curve of a policy, on a run of an earlier version."""

import json
import shutil
import tarfile

import pytest
from typer.testing import CliRunner

from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.ledger.comparison import compare
from producers.world.settings import consequences
from runner.ledger.curve_plot import curve_plot, print_curve, write_curve
from runner.ledger.policy_curve import BUDGETS, policy_curve
from runner.ledger.run_ledger import ledger_figures, rules_of, run_ledger, write_ledger
from runner.ledger.run_payments import frauds_of
from runner.ledger.tables import console, print_campaign, print_comparison, print_ledger
from scorer.policy.file import SHIPPED, load_policy
from tests.formats.test_earlier_run import ARCHIVE

SETTINGS = Settings(_env_file=None)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier") / "run"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def fraudsim(*words):
    return CliRunner().invoke(build(), [str(word) for word in words])


def text_of(show, *arguments):
    with console.capture() as capture:
        show(*arguments)
    return capture.get()


def test_it_sums_what_the_stream_decided(run):
    ledger = run_ledger(run, SETTINGS)
    frauds = frauds_of(run)
    assert ledger.total.payments.count > 100
    assert ledger.total.at_stake.count <= len(frauds)
    assert ledger.basis.cards > 0
    figures = ledger_figures(ledger)
    assert list(figures)[:2] == ["net_loss_cents", "net_loss_cents_per_1000_cards_week"]
    assert "campaigns" not in figures
    assert json.loads(write_ledger(run, ledger).read_text())["campaigns"].keys() == ledger.campaigns.keys()


def test_the_rules_are_those_that_the_run_recorded(tmp_path):
    (tmp_path / "manifest.json").write_text(
        json.dumps({"settings": {"seed": 3, "consequences": {"analysts": 5}}})
    )
    rules, seed = rules_of(tmp_path, SETTINGS)
    assert (rules.analysts, seed) == (5, 3)
    assert rules_of(tmp_path / "none", SETTINGS) == (consequences(SETTINGS), SETTINGS.seed)


def test_its_tables_fit_80_columns(run):
    ledger = run_ledger(run, SETTINGS)
    printed = text_of(print_ledger, ledger)
    table = printed[: printed.index("net loss")].splitlines()
    assert max(map(len, table)) <= 80
    assert "false positives for each fraud found" in printed
    for campaign in ledger.campaigns.values():
        assert campaign.campaign_id in text_of(print_campaign, campaign)
    assert "one pair: no interval" in text_of(print_comparison, compare([(ledger, ledger)]))


def test_the_curve_runs_from_no_alert_to_all_that_the_policy_wants(run, tmp_path):
    points = policy_curve(load_policy(SHIPPED), run, SETTINGS)
    assert len(points) == len(BUDGETS) + 1
    flagged = [point.ledger.total.flagged.count for point in points[:-1]]
    assert flagged == sorted(flagged)
    assert {point.ledger.total.payments.count for point in points} == {points[0].ledger.total.payments.count}
    printed = text_of(print_curve, points)
    assert max(map(len, printed[: printed.index("Of what")].splitlines())) <= 80
    write_curve(points, tmp_path / "curve.svg")
    assert curve_plot(points).render()[:4] == "<svg"
    assert "alert budget" in (tmp_path / "curve.svg").read_text()


def test_what_is_no_run_or_no_pair_is_one_line(run, tmp_path):
    with pytest.raises(FraudsimError, match="has no log folder: name the folder of a run"):
        run_ledger(tmp_path, SETTINGS)
    other = tmp_path / "other"
    shutil.copytree(run, other)
    manifest = json.loads((other / "history" / "manifest.json").read_text())
    (other / "history" / "manifest.json").write_text(json.dumps({**manifest, "fingerprint": "f" * 64}))
    for words, message in (
        (("ledger", "compare", run), "1 runs are no pairs"),
        (("ledger", "compare", run, other), "are no twins: their histories differ"),
        (("ledger", "campaign", "nobody", "--run", run), "has no campaign 'nobody'"),
        (("policy", "curve", SHIPPED, "--run", tmp_path), "has no log folder"),
        (("policy", "curve", SHIPPED, "--run", run, "--svg", tmp_path / "no" / "x.svg"), "--svg"),
    ):
        failure = fraudsim(*words).exception
        assert isinstance(failure, FraudsimError), words
        assert message in str(failure)
        assert "\n" not in str(failure)
    assert fraudsim("ledger", "compare", run, run).exit_code == 0
    assert "net loss" in fraudsim("ledger", "show", "--run", run).output

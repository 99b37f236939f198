from typer.testing import CliRunner

from model.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["model", "labels", *map(str, arguments)])


def test_the_shares_known_and_the_recent_rates_are_shown_and_drawn(small_history, tmp_path):
    result = run("--history", small_history, "--svg", tmp_path / "maturity.svg")
    assert result.exit_code == 0, result.output
    assert {"any", "customer", "chargeback", "2023-12-30", "2024-02-03"} <= set(result.output.split())
    assert "customer" in (tmp_path / "maturity.svg").read_text()


def test_a_time_without_known_fraud_is_refused(small_history):
    result = run("--history", small_history, "--as-of", "2020-01-01")
    assert "no fraud is known by then; give a later --as-of" in str(result.exception)

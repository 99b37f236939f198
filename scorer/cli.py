"""Commands: `fraudsim scorer` runs one scorer process; `fraudsim policy …` and `fraudsim explain`."""

import typer

from scorer.policy_cli import explain_one, policy

app = typer.Typer()
app.add_typer(policy, name="policy")
app.command("explain")(explain_one)


@app.command()
def scorer(
    features_lag: str | None = typer.Option(
        None,
        help="leave events of the last 10s, 5m, 1h or 1d of event time out of the features, for experiments  "
        "[default: FRAUDSIM_FEATURES_LAG]",
    ),
    beside: bool = typer.Option(
        False, "--beside", help="decide beside the line, into a topic that nobody acts on, and without HTTP"
    ),
) -> None:
    """Decide transactions: consume `transactions`, answer `POST /v1/score`, write `decisions`."""
    from fraudsim.settings import load_settings, with_features_lag
    from scorer.service import run_scorer

    run_scorer(with_features_lag(load_settings(), features_lag), is_beside=beside)

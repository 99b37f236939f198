"""Commands: `fraudsim scorer` runs one scorer process; `fraudsim policy …` and `fraudsim explain`."""

import typer

from scorer.policy_cli import explain_one, policy

app = typer.Typer()
app.add_typer(policy, name="policy")
app.command("explain")(explain_one)


@app.command()
def scorer() -> None:
    """Decide transactions: consume `transactions`, answer `POST /v1/score`, write `decisions`."""
    from fraudsim.settings import load_settings
    from scorer.service import run_scorer

    run_scorer(load_settings())

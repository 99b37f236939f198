"""`fraudsim scorer`: one scorer process."""

import typer

app = typer.Typer()


@app.command()
def scorer() -> None:
    """Decide transactions: consume `transactions`, answer `POST /v1/score`, write `decisions`."""
    from fraudsim.settings import load_settings
    from scorer.service import run_scorer

    run_scorer(load_settings())

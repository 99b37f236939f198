"""`fraudsim ledger show | campaign | compare`: the money of archived runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from producers.ledger.ledger import Ledger

app = typer.Typer(no_args_is_help=True, help="The money of archived runs: what was paid, stopped, spent.")

Run = Annotated[Path | None, typer.Option("--run", help="folder of an archived run  [default: the latest]")]


@app.callback()
def ledger_commands() -> None:
    """The money of archived runs: what was paid, stopped, spent."""


@app.command()
def show(run: Run = None) -> None:
    """Show a run's ledger: net loss, alerts, and the money by typology."""
    from runner.ledger.tables import print_ledger

    print_ledger(_ledger(run))


@app.command()
def campaign(
    campaign_id: Annotated[
        str | None, typer.Argument(help="its id; without one, the ids of the costliest ten")
    ] = None,
    run: Run = None,
) -> None:
    """Show the money of one fraud campaign."""
    from fraudsim.errors import FraudsimError
    from runner.ledger.tables import money, print_campaign

    campaigns = _ledger(run).campaigns
    if campaign_id is None:
        for item in sorted(campaigns.values(), key=lambda c: -c.account.at_stake.cents)[:10]:
            typer.echo(f"{item.campaign_id}  {item.typology}, at stake {money(item.account.at_stake.cents)}")
        return
    if campaign_id not in campaigns:
        raise FraudsimError(f"the run has no campaign {campaign_id!r}; `fraudsim ledger campaign` names some")
    print_campaign(campaigns[campaign_id])


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="pairs of twin runs: A1 B1 A2 B2 …; each pair one seed")],
) -> None:
    """Show what the second run of each pair costs more than the first: paired over seeds, with intervals."""
    from fraudsim.errors import FraudsimError
    from producers.ledger.comparison import compare as compare_ledgers
    from runner.ledger.tables import print_comparison

    if len(runs) % 2:
        raise FraudsimError(f"ledger compare: {len(runs)} runs are no pairs; name A1 B1 A2 B2 …")
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    for first, second in pairs:
        _check_twins(first, second)
    print_comparison(compare_ledgers([(_ledger(a), _ledger(b)) for a, b in pairs]))


def _ledger(run: Path | None) -> "Ledger":
    from fraudsim.settings import load_settings
    from runner.ledger.run_ledger import run_ledger

    settings = load_settings()
    return run_ledger(run or settings.runs_dir / "latest", settings)


def _check_twins(first: Path, second: Path) -> None:
    """Raises FraudsimError where two runs do not follow the same history: then they have no pair."""
    from fraudsim.errors import FraudsimError
    from producers.history.reader import read_history

    fingerprints = [read_history(run / "history").manifest.fingerprint for run in (first, second)]
    if fingerprints[0] != fingerprints[1]:
        raise FraudsimError(
            f"{first} and {second} are no twins: their histories differ; start the second with "
            f"`--reuse {first}`"
        )

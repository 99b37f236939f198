"""`fraudsim policy curve`: net loss against the alert budget, on an archived run."""

from pathlib import Path
from typing import Annotated

import typer

from scorer.policy_cli import New, Run


def curve(
    new: New,
    run: Run = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="draw it into this file, too")] = None,
) -> None:
    """Show what a policy would have cost on an archived run for each share of payments that it may flag."""
    from fraudsim.errors import FraudsimError
    from fraudsim.settings import load_settings
    from runner.ledger.curve_plot import print_curve, write_curve
    from runner.ledger.policy_curve import policy_curve
    from scorer.policy.file import load_policy

    settings = load_settings()
    points = policy_curve(load_policy(new), run or settings.runs_dir / "latest", settings)
    print_curve(points)
    if svg is not None:
        try:
            write_curve(points, svg)
        except OSError as error:
            raise FraudsimError(f"policy curve: --svg {svg}: {error.strerror}") from None
        typer.echo(f"drawn in {svg}")

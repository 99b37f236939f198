"""Commands of a model's life: they join `fraudsim model …`, which `model/registry/cli.py` makes.

Two groups of one name would replace each other, so a command of this room is added to that one:
`@model_group.command("NAME")`.
"""

import typer

from lifecycle.backtest.cli import backtest
from lifecycle.live_experiment.cli import experiment
from lifecycle.retraining.cli import retrain
from lifecycle.retraining.step_cli import retraining
from lifecycle.timeline.cli import timeline
from model.registry.cli import model as model_group

__all__ = ["app", "model_group"]

app = typer.Typer()

model_group.command()(backtest)
model_group.command()(retrain)
model_group.command()(timeline)
model_group.add_typer(experiment, name="experiment")
model_group.add_typer(retraining, name="retraining")

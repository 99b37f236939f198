"""One world and model: the model is made, and sent through all gates."""

import math
import shutil
from functools import lru_cache
from pathlib import Path

from fraudsim.settings import Settings
from lifecycle.experiment.fast_forward import ExperimentPlan
from lifecycle.experiment.stages import stages_of
from model.artefact.files import load_model
from model.training.train import train_model
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.settings import consequences, world_config
from producers.world.world import World
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.traffic import traffic_of
from studies.bad_models.gates import GateTrial, ModelWay, way_of
from studies.bad_models.plan import EXTRA_FRAUD, GOOD, BadModelsPlan
from studies.bad_models.tampering import BAD_MODELS
from studies.frame.cell_plan import StudyCell

_SETTINGS: dict[str, Settings] = {}


def run_cell(plan: BadModelsPlan, cell: StudyCell, settings: Settings, scratch: Path) -> ModelWay:
    """Make one model in one world, and try it.

    Raises:
        FraudsimError: the world has too little fraud, or a file cannot be written.
    """
    key = settings.model_dump_json()
    _SETTINGS[key] = settings
    folder = scratch / f"bad-models-{cell.seed}"
    trial = _trial(plan, cell.seed, folder, key)
    model_dir = folder / "made"
    shutil.rmtree(model_dir, ignore_errors=True)
    history, champion = folder / "history", folder / "champion"
    if cell.arm == GOOD:
        train_model(history, model_dir, settings.model_copy(update={"seed": settings.seed + 1}))
    else:
        BAD_MODELS[cell.arm](history, champion, model_dir, settings)
    way = way_of(model_dir, trial)
    for leftover in (model_dir, model_dir.with_name(f"{model_dir.name}-history")):
        shutil.rmtree(leftover, ignore_errors=True)
    return way


@lru_cache(maxsize=1)
def _trial(plan: BadModelsPlan, seed: int, folder: Path, settings_json: str) -> GateTrial:
    """The world of a seed and its champion: all models of a seed are tried in a row."""
    settings = _SETTINGS[settings_json]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    parameters = {**settings.world, "fraud_scale": EXTRA_FRAUD}
    config = world_config(settings.model_copy(update={"world": parameters}), plan.cards, seed)
    write_history(folder / "history", World(config), plan.history_days)
    train_model(folder / "history", folder / "champion", settings)
    stages = stages_of(plan.stages)
    days = math.ceil(sum(stage.days for stage in stages))
    return GateTrial(
        load_model(folder / "champion"), traffic_of(read_history(folder / "history"), days),
        load_policy(settings.policy or SHIPPED), consequences(settings), ExperimentPlan(stages=stages),
    )  # fmt: skip

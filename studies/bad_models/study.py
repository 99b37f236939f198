"""The study: a good model and its bad brothers, on one world; JSON and a page."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.settings import Settings
from lifecycle.experiment.fast_forward import ExperimentPlan
from lifecycle.experiment.stages import stages_of
from model.artefact.files import current_versions, load_model
from model.artefact.manifest import Versions
from model.training.train import train_model
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.settings import consequences, world_config
from producers.world.world import World
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.traffic import traffic_of
from studies.bad_models.gates import GateTrial, ModelWay, way_of
from studies.bad_models.tampering import BAD_MODELS
from studies.report import Cell, Grid, Page, make_folder, write_report

STAGES: Final = "shadow:3,1%:4,5%:7,25%:7"
GOOD: Final = "a good model, another seed"


@dataclass(frozen=True)
class BadModelsPlan:
    """The world of the study."""

    cards: int = 1_000
    history_days: int = 45
    weeks: int = 3
    seed: int = 1
    names: Sequence[str] = tuple(BAD_MODELS)


class BadModelsResult(msgspec.Struct, frozen=True, kw_only=True):
    """`bad_models.json`."""

    cards: int
    weeks: int
    stages: str
    ways: list[ModelWay]
    versions: Versions


def study(
    out: Path, settings: Settings, plan: BadModelsPlan, on_step: Callable[[str], None] = lambda _: None
) -> BadModelsResult:
    """Make all models, send each through all gates, and write the report.

    Raises:
        FraudsimError: the folder cannot be written, or the world has too little fraud.
    """
    make_folder(out)
    history, models = out / "history", out / "models"
    shutil.rmtree(history, ignore_errors=True)
    shutil.rmtree(models, ignore_errors=True)
    on_step("the world")
    world = {**settings.world, "fraud_scale": 4.0}
    config = world_config(settings.model_copy(update={"world": world}), plan.cards, plan.seed)
    write_history(history, World(config), plan.history_days)
    on_step("the champion")
    train_model(history, models / "champion", settings)
    makers = {name: BAD_MODELS[name] for name in plan.names}
    for number, (name, make) in enumerate(makers.items()):
        on_step(f"{name}: training")
        make(history, models / "champion", models / f"bad-{number}", settings)
    train_model(history, models / "good", settings.model_copy(update={"seed": settings.seed + 1}))
    champion = load_model(models / "champion")
    traffic = traffic_of(read_history(history), plan.weeks * 7)
    policy, rules = load_policy(settings.policy or SHIPPED), consequences(settings)
    folders = {GOOD: models / "good"} | {name: models / f"bad-{number}" for number, name in enumerate(makers)}
    trial = GateTrial(champion, traffic, policy, rules, ExperimentPlan(stages=stages_of(STAGES)))
    result = BadModelsResult(
        cards=plan.cards,
        weeks=plan.weeks,
        stages=STAGES,
        ways=[way_of(name, folder, trial, on_step) for name, folder in folders.items()],
        versions=current_versions(),
    )
    write_report(out, "bad_models", result, page_of(result))
    return result


def page_of(result: BadModelsResult) -> Page:
    """The study as a page."""
    rows = [
        [
            Cell(way.name), Cell("passes" if way.check == "passes" else "refused"), Cell(way.backtest),
            Cell(f"{way.status} in {way.stage}" if way.status else "not begun"),
            Cell(str(way.days)), Cell(f"{way.true_excess_cents / 100:+,.2f}"),
            Cell(way.stopped_by or "nothing"),
        ]
        for way in result.ways
    ]  # fmt: skip
    bad = [way for way in result.ways if way.name != GOOD]
    stopped = sum(way.stopped_before_25 for way in bad)
    reasons = " ".join(f"{way.name}: {way.reason or way.check}." for way in bad)
    return Page(
        "The way of a bad model",
        f"{result.cards:,} cards, {result.weeks} weeks in the fast-forward, stages {result.stages}. "
        f"{stopped} of {len(bad)} bad models are stopped before 25 %. "
        "Every gate is asked, whatever the one before said; "
        f"excess is what B's cards lost more than as many of A's while B decided, by the truth. {reasons}",
        Grid(["model", "check", "backtest", "experiment", "days", "excess", "stopped by"], rows),
    )

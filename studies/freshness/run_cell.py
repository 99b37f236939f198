"""One run of the study: a world of a seed and a tempo under one regime, and what its campaigns came to."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from fraudsim.settings import Settings
from fraudsim.whole_files import whole_folder
from model.artefact.calibration import fit_calibration
from model.artefact.costs import Costs
from model.artefact.thresholds import choose_thresholds
from model.forest.fit import fit_trees, scores_of
from model.forest.forest import Forest
from model.training.dataset import build_dataset
from model.training.fallback import request_only
from model.training.split import split_history
from producers.history.reader import History, read_history
from producers.history.writer import write_history
from producers.ledger.ledger import CampaignAccount
from producers.world.settings import consequences, world_config
from producers.world.world import World
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring, ScoringArm
from simulator.line.traffic import traffic_of
from simulator.training import features_under
from studies.freshness.plan import StudyCell, StudyPlan, Twin

ALERT_SHARE: Final = 0.02
"""Of the transactions; rules may add to it."""
TRAINING_SEED: Final = 100_000
"""Of the world that all models of a tempo are trained on: none of the worlds that are measured."""


class TypologyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The campaigns of one typology in one run."""

    campaigns: int
    payments: int
    at_stake_cents: int
    paid_cents: int
    first_caught: int
    """Campaigns whose first payment was stopped."""
    stopped: int
    """Campaigns of which a payment was stopped."""
    stop_minutes: float | None
    """Median time from the first payment to the first that was stopped, of those where one was."""


class CellFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    decisions: int
    net_loss_rate: int
    """Cents per 1,000 cards and week."""
    parts: dict[str, int]
    """Cents by kind of cost."""
    insults: int
    review_minutes: float
    flagged: int
    typologies: dict[str, TypologyFigures]
    spans: dict[str, tuple[float, float]]
    """By typology, the median duration of a campaign and the median time between its payments, minutes."""


def world_folder(scratch: Path, plan: StudyPlan, settings: Settings, seed: int, tempo: float) -> Path:
    """The history of a seed and a tempo, written if it is not there."""
    folder = scratch / f"world-{plan.name}-{seed}-{tempo:g}"
    if not (folder / "manifest.json").exists():
        world = {**settings.world, "fraud_scale": plan.fraud_scale, "tempo": tempo}
        config = world_config(settings.model_copy(update={"world": world}), plan.cards, seed)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder, replace=True) as temporary:
            write_history(temporary, World(config), plan.history_days)
    return folder


class FittedArm(NamedTuple):
    """A model for a regime, and the probability from which it may flag."""

    arm: ScoringArm
    flag_from: float


def fit_arm(history: History, arm: Twin, settings: Settings) -> FittedArm | None:
    """A model matched to a regime; None where it has none.

    It may flag `ALERT_SHARE` of what it has not seen at the end of its history: all have one budget.
    """
    regime = arm.regime
    if regime.features == "none":
        return None
    manifest = history.manifest
    split = split_history(manifest.start_ms, manifest.end_ms, settings.label_gap_days)
    transactions, labels = history.transactions(), history.labels()
    dataset = build_dataset(transactions, labels, split)
    features = features_under(regime, transactions, labels)
    if regime.features == "request":
        features = request_only(features)
    before = dataset.train & ~dataset.calibration
    early = fit_trees(features[before], dataset.known_fraud[before], arm.fit_seed)
    held_out = scores_of(early, features[dataset.calibration])
    known_fraud = dataset.known_fraud[dataset.calibration]
    thresholds = choose_thresholds(held_out, dataset.known_stakes(dataset.calibration), Costs())
    ubj = fit_trees(features[dataset.train], dataset.known_fraud[dataset.train], arm.fit_seed)
    calibration = fit_calibration(held_out, known_fraud)
    flag_from = calibration.probability(float(np.quantile(held_out, 1 - ALERT_SHARE)))
    return FittedArm(ScoringArm(Forest(ubj), thresholds, calibration, arm.name, "champion"), flag_from)


@lru_cache(maxsize=64)
def _fitted(folder: Path, arm: Twin, settings_key: int) -> FittedArm | None:
    return fit_arm(read_history(folder), arm, _SETTINGS[settings_key])


_SETTINGS: dict[int, Settings] = {}


def run_cell(cell: StudyCell, plan: StudyPlan, settings: Settings, scratch: Path) -> CellFigures:
    """Run one cell.

    Raises:
        FraudsimError: its world has no fraud to train on, or a file cannot be written.
    """
    _SETTINGS[0] = settings
    training = world_folder(scratch, plan, settings, TRAINING_SEED, cell.tempo)
    fitted = _fitted(training, cell.arm, 0)
    scoring = None
    if fitted is not None:
        policy = load_policy(settings.policy or SHIPPED)
        limits = replace(policy.limits, flag_from_probability=fitted.flag_from)
        scoring = Scoring(fitted.arm, replace(policy, limits=limits), "champion")
    history = read_history(world_folder(scratch, plan, settings, cell.seed, cell.tempo))
    traffic = traffic_of(history, plan.days)
    line = SimulatedLine(traffic, cell.arm.regime, scoring, consequences(settings), reacting=True)
    decisions, times = 0, _CampaignTimes()
    for decided in line.run():
        decisions += int(decided.present.sum())
        times.add(decided.stretch.truth, decided.stretch.transactions["ts"].to_numpy())
    ledger = line.ledger
    by_typology: dict[str, list[CampaignAccount]] = {}
    for campaign in ledger.campaigns.values():
        by_typology.setdefault(campaign.typology, []).append(campaign)
    total = ledger.total
    return CellFigures(
        decisions=decisions,
        net_loss_rate=ledger.net_loss_rate,
        parts={
            "fraud paid": total.fraud_paid_cents, "insults": total.insult_cents,
            "friction": total.friction_cents, "reviews": total.review_cents,
        },
        insults=total.insults,
        review_minutes=total.review_minutes,
        flagged=total.flagged.count,
        typologies={name: _typology_figures(items) for name, items in sorted(by_typology.items())},
        spans=times.medians(),
    )  # fmt: skip


def _typology_figures(campaigns: list[CampaignAccount]) -> TypologyFigures:
    waits = [item.first_stop_ms - item.first_ms for item in campaigns if item.first_stop_ms is not None]
    return TypologyFigures(
        campaigns=len(campaigns),
        payments=sum(item.account.payments.count for item in campaigns),
        at_stake_cents=sum(item.account.at_stake.cents for item in campaigns),
        paid_cents=sum(item.account.paid.cents for item in campaigns),
        first_caught=sum(wait == 0 for wait in waits),
        stopped=len(waits),
        stop_minutes=float(np.median(waits)) / 60_000 if waits else None,
    )


class _CampaignTimes:
    """The planned payments' times of every campaign, whatever became of them."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[int]] = {}

    def add(self, truth: pa.Table, ts: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
        rows = np.flatnonzero(truth["is_fraud"].to_numpy())
        rows_of_frauds = truth.take(pa.array(rows)).select(["typology", "campaign_id"]).to_pylist()
        for row, at_ms in zip(rows_of_frauds, ts[rows].tolist(), strict=True):
            if row["campaign_id"] is not None:
                self._times.setdefault((row["typology"], row["campaign_id"]), []).append(at_ms)

    def medians(self) -> dict[str, tuple[float, float]]:
        """By typology, minutes: the median duration, and the median time between two payments."""
        durations: dict[str, list[float]] = {}
        gaps: dict[str, list[float]] = {}
        for (typology, _), times in self._times.items():
            durations.setdefault(typology, []).append((max(times) - min(times)) / 60_000)
            gaps.setdefault(typology, []).extend((np.diff(sorted(times)) / 60_000).tolist())
        return {
            name: (float(np.median(values)), float(np.median(gaps[name])) if gaps[name] else 0.0)
            for name, values in sorted(durations.items())
        }

"""One treatment in one world: precision, calibration and cost after each calibrator."""

from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Flags, Floats
from fraudsim.settings import Settings
from model.artefact.costs import Costs, Stakes
from model.artefact.thresholds import NEVER, Thresholds, choose_thresholds, total_cost
from model.treatments.calibrators import CALIBRATORS
from model.treatments.reliability import CalibrationFigures, ReliabilityBin, calibration_figures, reliability
from model.treatments.treatments import TREATMENTS, mean_of
from model.tuning.paired import WeightedRanking
from studies.frame.cell_plan import StudyCell
from studies.model_world import ModelTest, ModelWorld, ModelWorldSpec, model_world

AMOUNTS: Final = (0, 1_000, 5_000, 20_000, 100_000)
"""Lower edges of the bands of amounts, cents."""
GROUPED_BY: Final = "Platt"
"""The calibrator by which groups are shown."""


class CalibratedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A treatment's scores on the test after one calibrator."""

    average_precision: float
    figures: CalibrationFigures
    bins: list[ReliabilityBin]
    cost_share: float | None
    """Cost by cut-offs that were chosen on the end of training, over that of approving everything."""


class GroupCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """Calibration of one group of test transactions."""

    group: str
    transactions: int
    frauds: int
    mean_probability: float


class TreatmentFigures(ModelTest, frozen=True, kw_only=True):
    """A treatment in one world."""

    calibrated: dict[str, CalibratedFigures]
    """By calibrator."""
    by_amount: list[GroupCalibration]
    by_typology: list[GroupCalibration]
    """Of the transactions of each typology: how probable they looked."""


def run_cell(spec: ModelWorldSpec, cell: StudyCell, settings: Settings, scratch: Path) -> TreatmentFigures:
    """The figures of a cell; `scratch` is not needed."""
    world = model_world(spec, cell.condition, cell.seed, settings)
    (treatment,) = (one for one in TREATMENTS if one.name == cell.arm)
    dataset, before = world.dataset, world.before
    score = treatment.fit(world.features[before], dataset.known_fraud[before], cell.seed)
    held_out, scores = score(world.features[dataset.calibration]), score(world.features[dataset.test])
    known_fraud = dataset.known_fraud[dataset.calibration]
    calibrated, grouped = {}, scores
    for name, fit in CALIBRATORS.items():
        to_probability = fit(held_out, known_fraud)
        calibrated[name] = _calibrated(world, to_probability(held_out), to_probability(scores))
        grouped = to_probability(scores) if name == GROUPED_BY else grouped
    return TreatmentFigures(
        test_rows=int(dataset.test.sum()),
        test_frauds=int(world.test_fraud.sum()),
        calibrated=calibrated,
        by_amount=_by_amount(world, grouped),
        by_typology=_by_typology(world, grouped),
    )


def _calibrated(world: ModelWorld, held_out: Floats, probability: Floats) -> CalibratedFigures:
    dataset, costs, fraud = world.dataset, Costs(), world.test_fraud
    thresholds = choose_thresholds(held_out, dataset.known_stakes(dataset.calibration), costs)
    stakes = Stakes(dataset.amount_cents, dataset.eventual_fraud, dataset.can_hold).take(dataset.test)
    approve_all = total_cost(probability, stakes, costs, Thresholds(NEVER, NEVER, NEVER))
    cost = total_cost(probability, stakes, costs, thresholds)
    return CalibratedFigures(
        average_precision=WeightedRanking(fraud, probability).average_precision(np.ones(len(fraud))),
        figures=calibration_figures(probability, fraud),
        bins=reliability(probability, fraud),
        cost_share=cost / approve_all if approve_all else None,
    )


def _by_amount(world: ModelWorld, probability: Floats) -> list[GroupCalibration]:
    amount = world.dataset.amount_cents[world.dataset.test]
    band = np.searchsorted(AMOUNTS, amount, side="right") - 1
    return [
        _group(f"from {low / 100:,.0f}", probability, world.test_fraud, band == number)
        for number, low in enumerate(AMOUNTS)
    ]


def _by_typology(world: ModelWorld, probability: Floats) -> list[GroupCalibration]:
    typology = world.typology[world.dataset.test]
    return [
        _group(name, probability, world.test_fraud, typology == code)
        for code, name in enumerate(world.typologies)
    ]


def _group(name: str, probability: Floats, fraud: Flags, rows: Flags) -> GroupCalibration:
    return GroupCalibration(
        group=name,
        transactions=int(rows.sum()),
        frauds=int(fraud[rows].sum()),
        mean_probability=mean_of(probability[rows]) if rows.any() else 0.0,
    )

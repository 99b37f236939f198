"""Study: treatments of class imbalance, and whether what comes of them are probabilities.

Each treatment is fitted on the train period without its end, where calibrators and cut-offs are chosen, and
tested on the test period, by labels that are known in the end.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.artefact.costs import Costs, Stakes
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from model.artefact.thresholds import NEVER, Thresholds, choose_thresholds, total_cost
from model.forest.fit import SHIPPED
from model.training.dataset import TrainingDataset, build_dataset
from model.training.split import split_history
from model.treatments.calibrators import CALIBRATORS
from model.treatments.reliability import CalibrationFigures, ReliabilityBin, calibration_figures, reliability
from model.treatments.treatments import TREATMENTS, Treatment, mean_of
from model.tuning.paired import PairedDifference, ScoredTest, paired_difference
from producers.history.reader import History, read_history
from stream_features.offline.bulk import bulk_features
from studies.parts import StudyParts
from studies.report import Cell, Grid, Page, make_folder, write_report
from studies.treatment_plots import write_reliability

AMOUNTS: Final = (0, 1_000, 5_000, 20_000, 100_000)
"""Lower edges of the bands of amounts, cents."""


class CalibratedResult(msgspec.Struct, frozen=True, kw_only=True):
    """A treatment's scores on the test after one calibrator."""

    figures: CalibrationFigures
    bins: list[ReliabilityBin]
    compared: PairedDifference
    """Average precision, against the first treatment without calibrator."""
    cost_share: float | None
    """Cost by cut-offs that were chosen on the end of training, over that of approving everything."""


class TreatmentResult(msgspec.Struct, frozen=True, kw_only=True):
    """A treatment, by calibrator."""

    name: str
    calibrated: dict[str, CalibratedResult]


class GroupCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """Calibration of one group of test transactions, by the first treatment and Platt's calibrator."""

    group: str
    transactions: int
    frauds: int
    mean_probability: float
    fraud_rate: float


class Treatments(msgspec.Struct, frozen=True, kw_only=True):
    """`treatments.json`."""

    data_fingerprint: str
    seed: int
    test_rows: int
    test_frauds: int
    treatments: list[TreatmentResult]
    by_amount: list[GroupCalibration]
    by_typology: list[GroupCalibration]
    """Of the frauds of each typology: how probable they looked."""
    versions: Versions


class FirstScores(msgspec.Struct, frozen=True, kw_only=True):
    """The first treatment's scores, which the others are compared with."""

    held_out: list[float]
    test: list[float]


@dataclass(frozen=True, eq=False)
class TreatmentInput:
    """What every treatment is fitted on and measured by."""

    dataset: TrainingDataset
    features: Floats
    seed: int
    baseline: Floats
    """The first treatment's test scores."""

    @property
    def test_fraud(self) -> Flags:
        return self.dataset.eventual_fraud[self.dataset.test]


def study(
    history_dir: Path, out_dir: Path, settings: Settings, on_step: Callable[[str], None] = lambda _: None
) -> Treatments:
    """Run the study; writes `treatments.json`, `treatments.md` and `reliability.svg`.

    Raises:
        FraudsimError: the history is too short or has no fraud in its test period, or `out_dir` cannot be
            written.
    """
    history = read_history(history_dir)
    make_folder(out_dir)
    manifest = history.manifest
    split = split_history(manifest.start_ms, manifest.end_ms, settings.label_gap_days)
    transactions, labels = history.transactions(), history.labels()
    dataset = build_dataset(transactions, labels, split)
    if not dataset.eventual_fraud[dataset.test].any():
        raise FraudsimError(f"history {history_dir}: no fraud in the test period; take one with more cards")
    on_step("features")
    features = np.asarray(bulk_features(transactions, labels), np.float32)
    parts = StudyParts(
        out_dir,
        manifest.fingerprint,
        settings.seed,
        settings.label_gap_days,
        asdict(SHIPPED),
        asdict(Costs()),
    )
    on_step(TREATMENTS[0].name)
    first = parts.result("scores", FirstScores, lambda: _first_scores(dataset, features, settings.seed))
    test = TreatmentInput(dataset, features, settings.seed, np.array(first.test, np.float32))
    results = []
    for treatment in TREATMENTS:
        on_step(treatment.name)
        kept_scores = first if treatment is TREATMENTS[0] else None
        results.append(
            parts.result(
                treatment.name,
                TreatmentResult,
                lambda treatment=treatment, kept=kept_scores: _measure(treatment, test, kept),  # type: ignore[misc]
            )
        )
    platt = CALIBRATORS["Platt"](
        np.array(first.held_out, np.float32), dataset.known_fraud[dataset.calibration]
    )(test.baseline)
    codes, names = typology_codes(history, transactions)
    result = Treatments(
        data_fingerprint=manifest.fingerprint,
        seed=settings.seed,
        test_rows=int(dataset.test.sum()),
        test_frauds=int(test.test_fraud.sum()),
        treatments=results,
        by_amount=_by_amount(test, platt),
        by_typology=[
            _group(name, platt, test.test_fraud, codes[dataset.test] == code)
            for code, name in enumerate(names)
            if (codes[dataset.test] == code).any()
        ],
        versions=current_versions(),
    )
    write_report(out_dir, "treatments", result, page_of(result))
    write_reliability(out_dir, reliability_series(result))
    return result


def _first_scores(dataset: TrainingDataset, features: Floats, seed: int) -> FirstScores:
    held_out, test = _scores(TREATMENTS[0], dataset, features, seed)
    return FirstScores(held_out=held_out.tolist(), test=test.tolist())


def _scores(
    treatment: Treatment, dataset: TrainingDataset, features: Floats, seed: int
) -> tuple[Floats, Floats]:
    """Scores of the end of training, and of the test, by a fit on what lies before both."""
    before = dataset.train & ~dataset.calibration
    score = treatment.fit(features[before], dataset.known_fraud[before], seed)
    return score(features[dataset.calibration]), score(features[dataset.test])


def _measure(treatment: Treatment, test: TreatmentInput, kept: FirstScores | None) -> TreatmentResult:
    if kept is None:
        held_out, scores = _scores(treatment, test.dataset, test.features, test.seed)
    else:
        held_out, scores = np.array(kept.held_out, np.float32), np.array(kept.test, np.float32)
    known_fraud = test.dataset.known_fraud[test.dataset.calibration]
    calibrated = {}
    for name, fit in CALIBRATORS.items():
        to_probability = fit(held_out, known_fraud)
        calibrated[name] = _calibrated(test, to_probability(held_out), to_probability(scores))
    return TreatmentResult(name=treatment.name, calibrated=calibrated)


def _calibrated(test: TreatmentInput, held_out: Floats, probability: Floats) -> CalibratedResult:
    dataset, costs, fraud = test.dataset, Costs(), test.test_fraud
    thresholds = choose_thresholds(held_out, dataset.known_stakes(dataset.calibration), costs)
    stakes = Stakes(dataset.amount_cents, dataset.eventual_fraud, dataset.can_hold).take(dataset.test)
    approve_all = total_cost(probability, stakes, costs, Thresholds(NEVER, NEVER, NEVER))
    cost = total_cost(probability, stakes, costs, thresholds)
    scored = ScoredTest(dataset.card[dataset.test], fraud, probability, test.baseline)
    return CalibratedResult(
        figures=calibration_figures(probability, fraud),
        bins=reliability(probability, fraud),
        compared=paired_difference([scored], test.seed),
        cost_share=cost / approve_all if approve_all else None,
    )


def _by_amount(test: TreatmentInput, probability: Floats) -> list[GroupCalibration]:
    amount = test.dataset.amount_cents[test.dataset.test]
    band = np.searchsorted(AMOUNTS, amount, side="right") - 1
    names = [f"from {low / 100:,.0f}" for low in AMOUNTS]
    return [
        _group(name, probability, test.test_fraud, band == number)
        for number, name in enumerate(names)
        if (band == number).any()
    ]


def _group(name: str, probability: Floats, fraud: Flags, rows: Flags) -> GroupCalibration:
    return GroupCalibration(
        group=name,
        transactions=int(rows.sum()),
        frauds=int(fraud[rows].sum()),
        mean_probability=mean_of(probability[rows]),
        fraud_rate=float(fraud[rows].mean()),
    )


def reliability_series(result: Treatments) -> dict[str, list[ReliabilityBin]]:
    """What is drawn: the first treatment by calibrator, and the undersampled ones as they are."""
    first, *_, sampled, corrected = result.treatments
    series = {f"logistic loss, {name}": one.bins for name, one in first.calibrated.items()}
    return series | {item.name: item.calibrated["none"].bins for item in (sampled, corrected)}


def typology_codes(history: History, transactions: pa.Table) -> tuple[Ints, list[str]]:
    """By transaction, the index of its typology among the returned names; -1 where it is honest."""
    truth = history.truth()
    if not truth["tx_id"].equals(transactions["tx_id"]):
        raise ValueError("truth is not in the order of its transactions")
    encoded = truth["typology"].cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(truth["is_fraud"].to_numpy(), codes, -1), encoded.dictionary.to_pylist()


def page_of(result: Treatments) -> Page:
    """The study as a page: a row for each treatment and calibrator."""
    rows = []
    for treatment in result.treatments:
        for calibrator, measured in treatment.calibrated.items():
            figures, compared = measured.figures, measured.compared
            difference = f"{compared.difference:+.3f} ({compared.low:+.3f} to {compared.high:+.3f})"
            agreeing = sum(bin_.agrees for bin_ in measured.bins)
            rows.append(
                [
                    Cell(f"{treatment.name}; {calibrator}"),
                    Cell(f"{compared.average_precision:.3f}"),
                    Cell(difference),
                    Cell(f"{figures.mean_probability / figures.fraud_rate:.2f}"),
                    Cell(f"{figures.log_loss:.5f}"),
                    Cell(f"{figures.calibration_error:.5f}"),
                    Cell(f"{agreeing}/{len(measured.bins)}"),
                    Cell("" if measured.cost_share is None else f"{measured.cost_share:.3f}"),
                ]
            )
    heads = ["treatment; calibrator", "AP", "against none (90 %)", "expected/found frauds", "log loss"]
    return Page(
        "Treatments of class imbalance",
        f"{result.test_rows:,} test transactions, {result.test_frauds:,} frauds that came to light. Expected "
        "frauds: the sum of the probabilities. Bins that agree: the mean probability lies within the 90 % "
        "interval of the fraud rate. Cost: by cut-offs chosen on the end of training, over that of approving "
        "everything. By amount and typology (first treatment, Platt): "
        + "; ".join(_group_text(group) for group in (*result.by_amount, *result.by_typology))
        + ".",
        Grid([*heads, "calibration error", "bins that agree", "cost"], rows),
    )


def _group_text(group: GroupCalibration) -> str:
    return (
        f"{group.group.replace('_', ' ')} {group.transactions:,} tx, probability "
        f"{group.mean_probability:.3g}, fraud {group.fraud_rate:.3g}"
    )

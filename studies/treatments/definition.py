"""The study as the frame takes it: cells, result, report."""

from collections.abc import Sequence

import msgspec
import numpy as np

from model.forest.fit import SHIPPED
from model.treatments.calibrators import CALIBRATORS
from model.treatments.reliability import ReliabilityBin
from model.treatments.treatments import TREATMENTS
from producers.ledger.comparison import Difference, difference_of
from studies.frame.cell_plan import Runs, Size
from studies.frame.definition import Provenance, StudyDefinition
from studies.frame.page import StudyFigure, StudyReport, StudyTable
from studies.model_study import ModelStudyResult, frauds_by_layout, interval_text, model_study
from studies.model_world import OURS, SEEDS, SPECS, ModelWorldSpec
from studies.report import Cell, Grid, spaced
from studies.treatments.cell import GroupCalibration, TreatmentFigures, run_cell
from studies.treatments.plots import reliability_svg

PLAIN, UNCALIBRATED = TREATMENTS[0].name, "none"


class TreatmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A treatment after a calibrator in the worlds of one layout."""

    layout: str
    treatment: str
    calibrator: str
    average_precision: float
    """Mean over the seeds."""
    difference: Difference
    """Against the first treatment without calibrator, in hundredths of average precision."""
    expected_over_known: float
    """The sum of the probabilities over the frauds that came to light, of all worlds."""
    log_loss: float
    agreeing_bins: int
    """Whose mean probability lies within the 90 % interval of the fraud rate."""
    bins: int
    cost_share: float | None


class TreatmentsResult(ModelStudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    rows: list[TreatmentRow]
    by_amount: list[GroupCalibration]
    """Of our worlds together, by the first treatment and Platt's calibrator."""
    by_typology: list[GroupCalibration]
    reliability: dict[str, list[ReliabilityBin]]
    """Of our world of the first seed, as drawn."""


def study_of(size: Size) -> StudyDefinition[TreatmentFigures, TreatmentsResult]:
    """The study of a size."""
    return definition_of(SPECS[size], size, SEEDS[size])


def definition_of(
    spec: ModelWorldSpec, size: Size, seeds: int
) -> StudyDefinition[TreatmentFigures, TreatmentsResult]:
    """The study of worlds of one kind."""
    return model_study(
        "treatments", [one.name for one in TREATMENTS], SHIPPED, spec, size, seeds, run_cell,
        TreatmentFigures, TreatmentsResult, result_of, report_of,
    )  # fmt: skip


def result_of(
    spec: ModelWorldSpec, runs: Runs[TreatmentFigures], seeds: Sequence[int], provenance: Provenance
) -> TreatmentsResult:
    """The study's figures from its cells."""
    layouts = list(spec.layouts())
    plain = [runs[PLAIN, OURS, seed] for seed in seeds]
    return TreatmentsResult(
        provenance=provenance,
        seeds=list(seeds),
        worlds=spec.text(),
        test_frauds=frauds_by_layout(runs, PLAIN, layouts, seeds),
        rows=[
            _row(runs, layout, treatment.name, calibrator, seeds)
            for layout in layouts
            for treatment in TREATMENTS
            for calibrator in CALIBRATORS
        ],
        by_amount=_together([one.by_amount for one in plain]),
        by_typology=_together([one.by_typology for one in plain]),
        reliability=_series(runs, seeds[0]),
    )


def _row(
    runs: Runs[TreatmentFigures], layout: str, treatment: str, calibrator: str, seeds: Sequence[int]
) -> TreatmentRow:
    own = [runs[treatment, layout, seed].calibrated[calibrator] for seed in seeds]
    base = [runs[PLAIN, layout, seed].calibrated[UNCALIBRATED] for seed in seeds]
    counts = [runs[treatment, layout, seed] for seed in seeds]
    differences = [
        100 * (one.average_precision - other.average_precision) for one, other in zip(own, base, strict=True)
    ]
    expected = sum(
        one.figures.mean_probability * count.test_rows for one, count in zip(own, counts, strict=True)
    )
    shares = [one.cost_share for one in own if one.cost_share is not None]
    bins = [bin_ for one in own for bin_ in one.bins]
    return TreatmentRow(
        layout=layout,
        treatment=treatment,
        calibrator=calibrator,
        average_precision=float(np.mean([one.average_precision for one in own])),
        difference=difference_of(differences),
        expected_over_known=expected / sum(count.test_frauds for count in counts),
        log_loss=float(np.mean([one.figures.log_loss for one in own])),
        agreeing_bins=sum(bin_.agrees for bin_ in bins),
        bins=len(bins),
        cost_share=float(np.mean(shares)) if shares else None,
    )


def _together(groups_by_seed: Sequence[Sequence[GroupCalibration]]) -> list[GroupCalibration]:
    """Groups of several worlds as one, by name; a group without transactions is left out."""
    names = list(dict.fromkeys(one.group for groups in groups_by_seed for one in groups))
    summed = []
    for name in names:
        own = [one for groups in groups_by_seed for one in groups if one.group == name]
        count = sum(one.transactions for one in own)
        if count:
            expected = sum(one.mean_probability * one.transactions for one in own)
            summed.append(
                GroupCalibration(
                    group=name, transactions=count, frauds=sum(one.frauds for one in own),
                    mean_probability=expected / count,
                )
            )  # fmt: skip
    return summed


def _series(runs: Runs[TreatmentFigures], seed: int) -> dict[str, list[ReliabilityBin]]:
    """The first treatment by calibrator, and the undersampled ones as they are."""
    first = runs[PLAIN, OURS, seed].calibrated
    series = {f"logistic loss, {name}": one.bins for name, one in first.items()}
    undersampled = [one.name for one in TREATMENTS[-2:]]
    return series | {name: runs[name, OURS, seed].calibrated[UNCALIBRATED].bins for name in undersampled}


def report_of(result: TreatmentsResult) -> StudyReport:
    """What the study says."""
    provenance = result.provenance
    svg = reliability_svg(result.reliability)
    caption = "Fraud rate by mean probability with 90 % intervals, our world of the first seed."
    return StudyReport(
        question="Does a treatment of class imbalance help?",
        answer=_answer(result),
        set_up=f"{result.set_up} "
        "Each treatment is fitted on the train period without its end, where calibrators and cut-offs "
        "are chosen, with the shipped parameters. Intervals are 95 %, Student's t over the worlds.",
        figures=[StudyFigure("reliability", caption, svg)],
        tables=[
            *(_table(result, layout) for layout in result.test_frauds),
            _group_table("By amount", result.by_amount),
            _group_table("By typology", result.by_typology),
        ],
        controls=[],
        limits=["The same parameters for all treatments: each alone might be tuned to do better."],
        command=f"fraudsim study treatments --out DIR --{provenance.size}",
        source=f"fraudsim {provenance.versions.fraudsim}, code {provenance.code}",
    )


def _answer(result: TreatmentsResult) -> list[str]:
    sentences = []
    for layout in result.test_frauds:
        rows = [row for row in result.rows if row.layout == layout and row.calibrator == UNCALIBRATED]
        best = max(rows, key=lambda row: row.average_precision)
        (plain,) = (row for row in rows if row.treatment == PLAIN)
        shifted = [row for row in rows if row.expected_over_known > 2]
        sentences.append(
            f"{layout[0].upper()}{layout[1:]}: {best.treatment} ranks best (average precision "
            f"{best.average_precision:.3f}); the plain logistic loss has {plain.average_precision:.3f} and "
            f"expects {plain.expected_over_known:.2f} of the frauds; {len(shifted)} of {len(rows)} "
            "treatments expect more than twice as many until they are calibrated."
        )
    return sentences


def _table(result: TreatmentsResult, layout: str) -> StudyTable:
    lines = [
        [
            Cell(f"{row.treatment}; {row.calibrator}"),
            Cell(f"{row.average_precision:.3f}"),
            Cell(interval_text(row.difference, "+.3f")),
            Cell(f"{row.expected_over_known:.2f}"),
            Cell(f"{row.log_loss:.4f}"),
            Cell(f"{row.agreeing_bins}/{row.bins}"),
            Cell("" if row.cost_share is None else f"{row.cost_share:.3f}"),
        ]
        for row in result.rows
        if row.layout == layout
    ]
    heads = [
        "treatment; calibrator",
        "AP",
        "against the first (95 %)",
        "expected/known",
        "log loss",
        "bins",
        "cost",
    ]
    return StudyTable(
        f"Treatments, {layout}",
        "Expected/known: the sum of the probabilities over the frauds that came to light. Bins: those whose "
        "mean probability lies within the 90 % interval of the fraud rate. Cost: by cut-offs chosen on the "
        "end of training, over that of approving everything.",
        Grid(heads, lines),
    )


def _group_table(name: str, groups: Sequence[GroupCalibration]) -> StudyTable:
    lines = [
        [
            Cell(spaced(one.group)),
            Cell(f"{one.transactions:,}"),
            Cell(f"{one.frauds:,}"),
            Cell(f"{one.mean_probability:.2g}"),
            Cell(f"{one.frauds / one.transactions:.2g}"),
        ]
        for one in groups
    ]
    heads = ["group", "transactions", "frauds", "mean probability", "fraud rate"]
    return StudyTable(
        f"Calibration {name[0].lower()}{name[1:]}",
        "Our worlds together; the plain logistic loss, Platt's calibrator.",
        Grid(heads, lines),
    )

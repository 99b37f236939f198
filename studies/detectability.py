"""Study: how hard each typology is to find, by how well its fraudsters hide.

One model, trained on a world of middling camouflage with every fraud known, scores the end of three worlds
that differ only in the camouflage dial. Each typology is ranked against the same honest transactions.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.settings import Settings
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from model.forest.fit import fit_trees, scores_of
from model.training.ranking import area_under_roc, average_precision
from producers.history.reader import History, read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.offline.bulk import bulk_features
from studies.report import Cell, Grid, Page, bar, make_folder, spaced, write_report

DIALS: Final = (0.0, 0.5, 1.0)
TRAINED_AT: Final = 0.5
FRAUD_SCALE: Final = 5.0
"""More fraud than the default mix, so that every typology has enough frauds to measure."""
TRAIN_SHARE: Final = 2 / 3


class TypologyResult(msgspec.Struct, frozen=True, kw_only=True):
    """One typology at one dial."""

    typology: str
    camouflage: float
    frauds: int
    base_rate: float
    """Share of this typology's frauds among these and the honest: the average precision of guessing."""
    average_precision: float
    auc: float


class Detectability(msgspec.Struct, frozen=True, kw_only=True):
    """`detectability.json`."""

    cards: int
    days: int
    seed: int
    fraud_scale: float
    trained_at: float
    """Camouflage of the world the model learnt from."""
    found: list[TypologyResult]
    """By typology, then by dial."""
    versions: Versions


def study(
    out_dir: Path,
    settings: Settings,
    cards: int,
    days: int,
    on_dial: Callable[[float], None] = lambda _: None,
) -> Detectability:
    """Run the study and write `detectability.json` and `detectability.md`.

    `on_dial` is called with each dial as its world begins.

    Raises:
        FraudsimError: `out_dir` cannot be written.
    """
    make_folder(out_dir)
    ubj: bytes | None = None
    results: list[TypologyResult] = []
    for dial in sorted(DIALS, key=lambda dial: dial != TRAINED_AT):  # the model's own world first
        on_dial(dial)
        with tempfile.TemporaryDirectory() as temp_dir:
            config = WorldConfig(cards=cards, seed=settings.seed, fraud_scale=FRAUD_SCALE, camouflage=dial)
            write_history(Path(temp_dir), World(config), days)
            history = read_history(Path(temp_dir))
            transactions = history.transactions()
            typology = typology_codes(history, transactions)
            features = bulk_features(transactions, history.labels())
        ts = transactions["ts"].to_numpy()
        scored = ts >= ts[0] + TRAIN_SHARE * (ts[-1] - ts[0])
        if ubj is None:
            ubj = fit_trees(features[~scored], typology[0][~scored] >= 0, settings.seed)
        results += measure(typology, scored, scores_of(ubj, features[scored]), dial)
    results.sort(key=lambda item: (item.typology, item.camouflage))
    report = Detectability(
        cards=cards,
        days=days,
        seed=settings.seed,
        fraud_scale=FRAUD_SCALE,
        trained_at=TRAINED_AT,
        found=results,
        versions=current_versions(),
    )
    write_report(out_dir, "detectability", report, page_of(report))
    return report


def typology_codes(history: History, transactions: pa.Table) -> tuple[Ints, list[str]]:
    """By transaction, the index of its typology among the returned names; -1 where it is honest."""
    truth = history.truth()
    if not truth["tx_id"].equals(transactions["tx_id"]):
        raise ValueError("truth is not in the order of its transactions")
    encoded = truth["typology"].cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(truth["is_fraud"].to_numpy(), codes, -1), encoded.dictionary.to_pylist()


def measure(
    typology: tuple[Ints, list[str]],
    scored: Flags,
    scores: Floats,
    dial: float,
) -> list[TypologyResult]:
    """Each typology that occurs, against the honest transactions; `scores` are of the `scored` rows."""
    codes, names = typology
    codes = codes[scored]
    results = []
    for code, name in enumerate(names):
        rows = (codes == code) | (codes < 0)
        is_fraud = codes[rows] == code
        if is_fraud.any():
            results.append(
                TypologyResult(
                    typology=name,
                    camouflage=dial,
                    frauds=int(is_fraud.sum()),
                    base_rate=float(is_fraud.mean()),
                    average_precision=average_precision(is_fraud, scores[rows]),
                    auc=area_under_roc(is_fraud, scores[rows]),
                )
            )
    return results


def page_of(report: Detectability) -> Page:
    """The study as a page: a row for each typology, average precision and AUC at each dial."""
    rows = []
    for name in sorted({item.typology for item in report.found}):
        by_dial = {item.camouflage: item for item in report.found if item.typology == name}
        rows.append([Cell(spaced(name)), *_cells(by_dial, "average_precision"), *_cells(by_dial, "auc")])
    return Page(
        "How hard each typology is to find",
        f"Worlds of {report.cards:,} cards, {report.days} days and {report.fraud_scale:g} times the fraud. "
        f"One model, trained at camouflage {report.trained_at:g} with all fraud known, scores the last third "
        "of each. Each typology is ranked against all honest transactions.",
        Grid(["typology", *(f"{name} at {dial:g}" for name in ("AP", "AUC") for dial in DIALS)], rows),
    )


def _cells(by_dial: dict[float, TypologyResult], metric: str) -> list[Cell]:
    values = [getattr(by_dial[dial], metric) if dial in by_dial else None for dial in DIALS]
    return [Cell("") if value is None else Cell(f"{value:.3f}", bar(value)) for value in values]

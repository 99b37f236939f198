"""Study: what is sacrificed for speed and size. Every model of the zoo on one history.

Each is fitted on the train period without its end, where its cut-offs are chosen, and tested on the test
period, by labels that are known in the end. Net loss is the ledger's, of the decisions by the cut-offs, with
the consequences that a live run has. Latency is that of scoring alone, in one thread, from what a scorer
would have read; intervals are of 90 %, by bootstrap over cards or, for latencies, quantiles of the
repetitions.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from fraudsim.arrays import Doubles, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action
from fraudsim.settings import Settings
from model.artefact.costs import Costs
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from model.artefact.thresholds import Thresholds, choose_thresholds
from model.forest.fit import SHIPPED
from model.training.dataset import TrainingDataset, build_dataset
from model.training.split import split_history
from model.tuning.paired import HIGH, LOW, RESAMPLES, PairedDifference, ScoredTest, paired_difference
from model.zoo.entries import BASE, ZOO
from model.zoo.gru import GruModel
from model.zoo.interface import ZooData, ZooEntry, ZooModel, zoo_data
from model.zoo.onnx_gru import OnnxGru
from producers.history.reader import read_history
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.ledger.account import Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Fraud
from stream_features.offline.bulk import bulk_features
from studies.parts import StudyParts
from studies.report import Cell, Grid, Page, bar, make_folder, write_report

ACTIONS: Final[tuple[Action, ...]] = ("approve", "step_up", "review", "decline")
ONE_ROWS: Final = 400
"""Rows that are scored one at a time."""
BATCH_ROWS: Final = 512
BATCHES: Final = 20


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 90 % interval."""

    value: float
    low: float
    high: float


class ZooResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model."""

    name: str
    served: bool
    serving: str
    compared: PairedDifference
    """Average precision, against the shipped trees."""
    net_loss: Estimate
    """By the ledger: cents per 1,000 cards of the test and week."""
    one_us: Estimate
    """Microseconds for one row: median, and the 5 % and 95 % quantiles."""
    batch_us: Estimate
    """Microseconds a row in a batch of 512."""
    runtime: str
    """What scored for the latencies."""
    size_bytes: int
    train_s: float
    """Of CPU."""
    scores: list[float]
    """Of the test rows; for the comparison of others."""


class Tradeoffs(msgspec.Struct, frozen=True, kw_only=True):
    """`tradeoffs.json`; the scores are left out."""

    data_fingerprint: str
    seed: int
    train_rows: int
    test_rows: int
    test_frauds: int
    models: list[ZooResult]
    frontier: list[str]
    """Models that no other beats in average precision, net loss, latency of one row, size and training time
    at once."""
    versions: Versions


@dataclass(frozen=True, eq=False)
class TradeoffsInput:
    """What every model is fitted on and measured by."""

    dataset: TrainingDataset
    data: ZooData
    seed: int
    baseline: Floats | None
    """Test scores of the shipped trees; None while these are measured."""
    payments: list[DecidedPayment]
    """Of the test rows."""


def study(
    history_dir: Path, out_dir: Path, settings: Settings, on_step: Callable[[str], None] = lambda _: None
) -> Tradeoffs:
    """Run the study; writes `tradeoffs.json` and `tradeoffs.md`.

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
    data = zoo_data(transactions, features, dataset.can_hold)
    parts = StudyParts(
        out_dir,
        manifest.fingerprint,
        settings.seed,
        settings.label_gap_days,
        asdict(SHIPPED),
        asdict(Costs()),
    )
    payments = _test_payments(transactions, dataset)
    results: list[ZooResult] = []
    for entry in ZOO:
        on_step(entry.name)
        baseline = np.array(results[0].scores, np.float32) if results else None
        measured = TradeoffsInput(dataset, data, settings.seed, baseline, payments)
        results.append(
            parts.result(entry.name, ZooResult, lambda entry=entry, one=measured: measure(entry, one))  # type: ignore[misc]
        )
    result = Tradeoffs(
        data_fingerprint=manifest.fingerprint,
        seed=settings.seed,
        train_rows=int((dataset.train & ~dataset.calibration).sum()),
        test_rows=int(dataset.test.sum()),
        test_frauds=int(dataset.eventual_fraud[dataset.test].sum()),
        models=[msgspec.structs.replace(one, scores=[]) for one in results],
        frontier=frontier_of(results),
        versions=current_versions(),
    )
    write_report(out_dir, "tradeoffs", result, page_of(result))
    return result


def measure(entry: ZooEntry, study_input: TradeoffsInput) -> ZooResult:
    """Fit a model, test it and time it."""
    dataset, data, seed = study_input.dataset, study_input.data, study_input.seed
    before = np.flatnonzero(dataset.train & ~dataset.calibration)
    held_out, test = np.flatnonzero(dataset.calibration), np.flatnonzero(dataset.test)
    started = time.process_time()
    model = entry.fit(data, before, dataset.known_fraud[before], seed)
    train_s = time.process_time() - started
    scores = _scores(model, data, test)
    thresholds = choose_thresholds(
        _scores(model, data, held_out), dataset.known_stakes(dataset.calibration), Costs()
    )
    fraud, card = dataset.eventual_fraud[test], dataset.card[test]
    baseline = scores if study_input.baseline is None else study_input.baseline
    timed, runtime = _as_served(model)
    return ZooResult(
        name=entry.name,
        served=entry.served,
        serving=entry.serving,
        compared=paired_difference([ScoredTest(card, fraud, scores, baseline)], seed),
        net_loss=_net_loss(study_input, scores, thresholds),
        one_us=_latency(timed, data, test[:ONE_ROWS], 1, ONE_ROWS),
        batch_us=_latency(timed, data, test, BATCH_ROWS, BATCHES),
        runtime=runtime,
        size_bytes=timed.size_bytes,
        train_s=train_s,
        scores=scores.astype(np.float64).tolist(),
    )


def _scores(model: ZooModel, data: ZooData, rows: Ints) -> Floats:
    chunks = [rows[low : low + 20_000] for low in range(0, len(rows), 20_000)]
    return np.concatenate([model.score(model.inputs(data, chunk)) for chunk in chunks])


def _as_served(model: ZooModel) -> tuple[ZooModel, str]:
    """What is timed: a GRU by ONNX Runtime where that is installed, all else as it is."""
    if not isinstance(model, GruModel):
        return model, "compiled"
    try:
        return OnnxGru(model), "ONNX Runtime"
    except FraudsimError:
        return model, "numpy"


def _latency(model: ZooModel, data: ZooData, rows: Ints, size: int, calls: int) -> Estimate:
    """Microseconds a row over calls with `size` rows each."""
    starts = [(number * size) % max(1, len(rows) - size + 1) for number in range(calls)]
    inputs: list[Any] = [model.inputs(data, rows[low : low + size]) for low in starts]
    model.score(inputs[0])
    spans = []
    for one in inputs:
        started = time.perf_counter_ns()
        model.score(one)
        spans.append((time.perf_counter_ns() - started) / 1000 / min(size, len(rows)))
    low, middle, high = np.quantile(spans, [LOW, 0.5, HIGH]).tolist()
    return Estimate(value=middle, low=low, high=high)


def _net_loss(study_input: TradeoffsInput, scores: Floats, thresholds: Thresholds) -> Estimate:
    """Money lost by the ledger if the cut-offs act on the test payments; Poisson bootstrap over cards."""
    dataset, payments = study_input.dataset, study_input.payments
    cuts = np.array([thresholds.step_up, thresholds.review, thresholds.decline])
    action = np.searchsorted(cuts, scores.astype(np.float64), side="right")
    fraud = dataset.eventual_fraud[dataset.test]
    entries = entries_of(
        (
            Posting(msgspec.structs.replace(payment, action=ACTIONS[number]), Fraud() if is_fraud else None)
            for payment, number, is_fraud in zip(payments, action.tolist(), fraud.tolist(), strict=True)
        ),
        Consequences(),
        study_input.seed,
    )
    code = {card: number for number, card in enumerate(sorted({payment.card_id for payment in payments}))}
    cents = np.zeros(len(code))
    for entry in entries:
        cents[code[entry.payment.card_id]] += entry.price.total
    basis = Basis(cards=len(code), span_ms=dataset.split.end_ms - dataset.split.test_from_ms)
    weights = np.random.default_rng(study_input.seed).poisson(1.0, (RESAMPLES, len(code)))
    low, high = (basis.rate(round(value)) for value in np.quantile(weights @ cents, [LOW, HIGH]).tolist())
    return Estimate(value=basis.rate(round(float(cents.sum()))), low=low, high=high)


def _test_payments(transactions: pa.Table, dataset: TrainingDataset) -> list[DecidedPayment]:
    """The test payments, all approved."""
    columns = ("tx_id", "ts", "card_id", "amount_cents", "channel")
    rows = transactions.select(columns).filter(pa.array(dataset.test)).to_pylist()
    return [DecidedPayment(action="approve", **row) for row in rows]


def frontier_of(results: list[ZooResult]) -> list[str]:
    """Names of the models that none beats or equals everywhere and beats somewhere."""

    def figures(one: ZooResult) -> Doubles:
        """Less is better."""
        return np.array(
            [
                -one.compared.average_precision,
                one.net_loss.value,
                one.one_us.value,
                one.size_bytes,
                one.train_s,
            ]
        )

    def beaten(one: ZooResult) -> bool:
        own = figures(one)
        others = [figures(other) for other in results if other is not one]
        return any(bool((other <= own).all() and (other < own).any()) for other in others)

    return [one.name for one in results if not beaten(one)]


def page_of(result: Tradeoffs) -> Page:
    """The study as a page: a row for each model."""
    best = max(one.compared.average_precision for one in result.models)
    rows = []
    for one in result.models:
        compared, loss = one.compared, one.net_loss
        difference = f"{compared.difference:+.3f} ({compared.low:+.3f} to {compared.high:+.3f})"
        rows.append(
            [
                Cell(one.name + (" *" if one.name in result.frontier else "")),
                Cell(f"{compared.average_precision:.3f}", bar(compared.average_precision / best)),
                Cell("" if one.name == BASE else difference),
                Cell(f"{loss.value / 100:,.0f} ({loss.low / 100:,.0f} to {loss.high / 100:,.0f})"),
                Cell(f"{one.one_us.value:.3g} ({one.one_us.low:.3g} to {one.one_us.high:.3g})"),
                Cell(f"{one.batch_us.value:.3g} ({one.batch_us.low:.3g} to {one.batch_us.high:.3g})"),
                Cell(one.runtime),
                Cell(f"{one.size_bytes / 1024:,.0f}"),
                Cell(f"{one.train_s:.1f}"),
                Cell(one.serving),
            ]
        )
    heads = ["model", "AP", "against shipped", "net loss", "us, one row", "us a row of 512", "scored by"]
    return Page(
        "What is sacrificed for speed and size",
        f"Fitted on {result.train_rows:,} transactions, tested on {result.test_rows:,} with "
        f"{result.test_frauds:,} frauds that came to light. Net loss: by the ledger, per 1,000 "
        "cards and week. In brackets 90 %. *: no other model is at least as good in average precision, "
        "net loss, latency of one row, size and training time.",
        Grid([*heads, "KiB", "training, s", "serving"], rows),
    )

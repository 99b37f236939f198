"""Study: what is sacrificed for speed and size. Every model of the zoo on one history.

Each is fitted on the train period without its end, where its cut-offs are chosen, and tested on the test
period, by labels that are known in the end. Net loss is the cost of acting by the cut-offs over that of
approving everything. Latency is that of scoring alone, in one thread, from what a scorer would have read;
intervals are of 90 %, by bootstrap over cards or, for latencies, quantiles of the repetitions.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from fraudsim.arrays import Doubles, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from model.artefact.thresholds import Costs, Thresholds, choose_thresholds, costs_of_actions
from model.forest.fit import SHIPPED
from model.training.dataset import TrainingDataset, build_dataset
from model.training.split import split_history
from model.tuning.paired import HIGH, LOW, RESAMPLES, PairedDifference, ScoredTest, paired_difference
from model.zoo.entries import BASE, ZOO
from model.zoo.gru import GruModel
from model.zoo.interface import ZooData, ZooEntry, ZooModel, zoo_data
from model.zoo.onnx_gru import OnnxGru
from producers.history.reader import read_history
from stream_features.offline.bulk import bulk_features
from studies.parts import StudyParts
from studies.report import Cell, Grid, Page, bar, make_folder, write_report

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
    """Share of the cost of approving everything."""
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
    data = zoo_data(transactions, np.asarray(bulk_features(transactions, labels), np.float32))
    parts = StudyParts(out_dir, manifest.fingerprint, settings.seed, settings.label_gap_days, asdict(SHIPPED))
    results: list[ZooResult] = []
    for entry in ZOO:
        on_step(entry.name)
        baseline = np.array(results[0].scores, np.float32) if results else None
        measured = TradeoffsInput(dataset, data, settings.seed, baseline)
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
        _scores(model, data, held_out),
        dataset.amount_cents[held_out],
        dataset.known_fraud[held_out],
        Costs(),
    )
    fraud, card = dataset.eventual_fraud[test], dataset.card[test]
    baseline = scores if study_input.baseline is None else study_input.baseline
    timed, runtime = _as_served(model)
    return ZooResult(
        name=entry.name,
        served=entry.served,
        serving=entry.serving,
        compared=paired_difference([ScoredTest(card, fraud, scores, baseline)], seed),
        net_loss=_net_loss(dataset, test, scores, thresholds, seed),
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


def _net_loss(
    dataset: TrainingDataset, test: Ints, scores: Floats, thresholds: Thresholds, seed: int
) -> Estimate:
    """Cost of acting by the cut-offs over that of approving all; Poisson bootstrap over cards."""
    cuts = np.array([thresholds.step_up, thresholds.review, thresholds.decline])
    action = np.searchsorted(cuts, scores.astype(np.float64), side="right")
    table = costs_of_actions(dataset.amount_cents[test], dataset.eventual_fraud[test], Costs())
    _, card = np.unique(dataset.card[test], return_inverse=True)
    cards = int(card.max()) + 1
    own = np.bincount(card, table[action, np.arange(len(test))], cards)
    approved = np.bincount(card, table[0], cards)
    weights = np.random.default_rng(seed).poisson(1.0, (RESAMPLES, cards))
    low, high = np.quantile((weights @ own) / np.maximum(weights @ approved, 1), [LOW, HIGH]).tolist()
    return Estimate(value=float(own.sum() / max(approved.sum(), 1.0)), low=low, high=high)


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
                Cell(f"{loss.value:.3f} ({loss.low:.3f} to {loss.high:.3f})"),
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
        f"{result.test_frauds:,} frauds that came to light. Net loss: share of the cost of approving "
        "everything. In brackets 90 %. *: no other model is at least as good in average precision, net loss, "
        "latency of one row, size and training time.",
        Grid([*heads, "KiB", "training, s", "serving"], rows),
    )

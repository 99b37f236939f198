"""One model in one world: precision, net loss, latency, size, training time."""

import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from fraudsim.arrays import Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action
from fraudsim.settings import Settings
from model.artefact.costs import Costs
from model.artefact.thresholds import Thresholds, choose_thresholds
from model.tuning.paired import HIGH, LOW, WeightedRanking
from model.zoo.entries import ZOO
from model.zoo.gru import GruModel
from model.zoo.interface import ZooData, ZooModel, zoo_data
from model.zoo.onnx_gru import OnnxGru
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.ledger.account import Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Fraud
from studies.frame.cell_plan import StudyCell
from studies.model_world import ModelTest, ModelWorld, ModelWorldSpec, model_world

ACTIONS: Final[tuple[Action, ...]] = ("approve", "step_up", "review", "decline")
ONE_ROWS: Final = 400
"""Rows that are scored one at a time."""
GROUP: Final = 20
"""Calls that are timed together: reading the thread's clock takes about as long as the fastest call."""
BATCH_ROWS: Final = 512
BATCHES: Final = 20


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 5 % and 95 % quantiles."""

    value: float
    low: float
    high: float


class ModelFigures(ModelTest, frozen=True, kw_only=True):
    """One model in one world."""

    train_rows: int
    average_precision: float
    net_loss_rate: float
    """By the ledger: cents per 1,000 cards of the test and week."""
    one_us: Estimate
    """Microseconds of CPU for one row: the median of groups of calls, and their quantiles."""
    batch_us: Estimate
    """Microseconds of CPU a row in a batch of 512."""
    runtime: str
    """What scored for the latencies."""
    size_bytes: int
    train_s: float
    """Of CPU."""


def run_cell(spec: ModelWorldSpec, cell: StudyCell, settings: Settings, scratch: Path) -> ModelFigures:
    """The figures of a cell; `scratch` is not needed."""
    world = model_world(spec, cell.condition, cell.seed, settings)
    (entry,) = (one for one in ZOO if one.name == cell.arm)
    dataset = world.dataset
    data = zoo_data(world.transactions, world.features, dataset.can_hold)
    before, test = np.flatnonzero(world.before), np.flatnonzero(dataset.test)
    started_s = time.process_time()
    model = entry.fit(data, before, dataset.known_fraud[before], cell.seed)
    train_s = time.process_time() - started_s
    scores = _scores(model, data, test)
    thresholds = choose_thresholds(
        _scores(model, data, np.flatnonzero(dataset.calibration)),
        dataset.known_stakes(dataset.calibration),
        Costs(),
    )
    timed, runtime = _as_served(model)
    return ModelFigures(
        train_rows=len(before),
        test_rows=len(test),
        test_frauds=int(world.test_fraud.sum()),
        average_precision=WeightedRanking(world.test_fraud, scores).average_precision(np.ones(len(test))),
        net_loss_rate=_net_loss(world, scores, thresholds, cell.seed),
        one_us=_latency(timed, data, test[:ONE_ROWS], 1, ONE_ROWS),
        batch_us=_latency(timed, data, test, BATCH_ROWS, BATCHES),
        runtime=runtime,
        size_bytes=timed.size_bytes,
        train_s=train_s,
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
    """CPU microseconds a row over calls with `size` rows each.

    By the clock of this thread, in which all of them score: what else the machine does is not counted.
    """
    starts = [(number * size) % max(1, len(rows) - size + 1) for number in range(calls)]
    inputs: list[Any] = [model.inputs(data, rows[low : low + size]) for low in starts]
    model.score(inputs[0])
    together = GROUP if size == 1 else 1
    spans_us = []
    for low in range(0, len(inputs), together):
        group = inputs[low : low + together]
        started_ns = time.thread_time_ns()
        for one in group:
            model.score(one)
        spans_us.append((time.thread_time_ns() - started_ns) / 1000 / (len(group) * min(size, len(rows))))
    low_us, middle_us, high_us = np.quantile(spans_us, [LOW, 0.5, HIGH]).tolist()
    return Estimate(value=middle_us, low=low_us, high=high_us)


def _net_loss(world: ModelWorld, scores: Floats, thresholds: Thresholds, seed: int) -> float:
    """Money lost by the ledger if the cut-offs act on the test payments."""
    dataset = world.dataset
    cuts = np.array([thresholds.step_up, thresholds.review, thresholds.decline])
    action = np.searchsorted(cuts, scores.astype(np.float64), side="right")
    payments = _test_payments(world)
    entries = entries_of(
        (
            Posting(msgspec.structs.replace(payment, action=ACTIONS[number]), Fraud() if is_fraud else None)
            for payment, number, is_fraud in zip(
                payments, action.tolist(), world.test_fraud.tolist(), strict=True
            )
        ),
        Consequences(),
        seed,
    )
    basis = Basis(
        cards=len({payment.card_id for payment in payments}),
        span_ms=dataset.split.end_ms - dataset.split.test_from_ms,
    )
    return basis.rate(sum(entry.price.total for entry in entries))


def _test_payments(world: ModelWorld) -> list[DecidedPayment]:
    """The test payments, all approved."""
    columns = ("tx_id", "ts", "card_id", "amount_cents", "channel")
    rows = world.transactions.select(columns).filter(world.dataset.test).to_pylist()
    return [DecidedPayment(action="approve", **row) for row in rows]

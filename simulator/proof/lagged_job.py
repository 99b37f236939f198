"""Proof (c): a live line whose features are old beside a job of the same staleness, both in event time.

Either the line has a lag: its features are a constant lag old, those of the job from 0 to twice as much. Or
it folds in batches, and decides by what they have folded: the job's period is that of the batches, its
duration what the decisions' staleness leaves over half of that. Every transaction is in both; differences are
summed by card, as the payments of one card are alike.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import ACTIONS
from fraudsim.settings import Settings
from producers.history.reader import read_history
from producers.world.settings import consequences
from simulator.line.line import SimulatedLine
from simulator.line.traffic import traffic_of
from simulator.proof.archived_run import ArchivedRun
from simulator.regimes import Regime, regime_of
from simulator.simulate import scoring_of
from stream_features.catalogue.features import DAY

Z975: Final = 1.96


@dataclass(frozen=True)
class PairedMean:
    """The mean over all transactions on the line, in the job, and their difference with its 95 % interval."""

    live: float
    simulated: float
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class LaggedJob:
    """A live line whose features are old, and a job."""

    lag_ms: int
    """Mean staleness of the line, event time."""
    period_ms: int
    """Of the job."""
    speed: float
    """Event seconds per wall second of the line."""
    transactions: int
    flagged: PairedMean
    """Share of the transactions that are not approved."""
    score: PairedMean


def compare_with_job(run_dir: Path, settings: Settings) -> LaggedJob:
    """Simulate the time of a lagged run under a job of the same mean staleness.

    Raises:
        FraudsimError: the run has no lag, or several; or its files cannot be used.
    """
    run = ArchivedRun(run_dir, settings)
    lags = {item.lag_ms for item in run.decisions}
    if len(lags) != 1 or not max(lags):
        raise FraudsimError(
            f"--run {run_dir}: its decisions have no single lag; run the line with --features-lag"
        )
    (lag_ms,) = lags
    return _compare(run_dir, settings, run, lag_ms, regime_of("micro-batch", 2 * lag_ms, 0))


def compare_with_batches(run_dir: Path, settings: Settings, batch_ms: int) -> LaggedJob:
    """Simulate the time of a run that was folded in batches, and decided without the unfolded log.

    Args:
        batch_ms: wall time between two batches.

    Raises:
        FraudsimError: the run's decisions have the unfolded log, or a lag; or its files cannot be used.
    """
    run = ArchivedRun(run_dir, settings)
    has_tail = any(
        last >= first
        for item in run.decisions
        for first, last in zip(item.prefix.tail_from, item.prefix.tail_to, strict=True)
    )
    if not run.decisions or has_tail or any(item.lag_ms for item in run.decisions):
        raise FraudsimError(
            f"--run {run_dir}: it was not decided by batches alone; run the line with --engine spark and "
            "FRAUDSIM_UNFOLDED_LOG=false"
        )
    speed = run.log.clock.current.speed
    staleness_ms = float(np.mean([item.row["staleness_ms"] for item in run.decisions])) * speed
    period_ms = round(batch_ms * speed)
    regime = regime_of("micro-batch", period_ms, max(0, round(staleness_ms - period_ms / 2)))
    return _compare(run_dir, settings, run, round(staleness_ms), regime)


def _compare(run_dir: Path, settings: Settings, run: ArchivedRun, lag_ms: int, regime: Regime) -> LaggedJob:
    history = read_history(run_dir / "history")
    scoring = scoring_of(run_dir / "model", regime, run_dir / "policy")
    end_ms = max(item.tx.ts for item in run.decisions)
    traffic = traffic_of(history, int((end_ms - history.manifest.end_ms) // DAY) + 1)
    line = SimulatedLine(traffic, regime, scoring, consequences(settings), reacting=False, primed=False)
    live = {item.tx.tx_id: (item.row["score"], item.row["action"] != "approve") for item in run.decisions}
    pairs = []
    for decided in line.run():
        cards = decided.stretch.transactions["card_id"].to_pylist()
        for row, tx_id in enumerate(decided.stretch.tx_ids):
            if tx_id in live:
                flagged = ACTIONS[decided.action[row]] != "approve"
                pairs.append((cards[row], *live[tx_id], float(decided.scores[row]), flagged))
    card = np.unique([pair[0] for pair in pairs], return_inverse=True)[1]
    values = np.array([pair[1:] for pair in pairs], np.float64)
    return LaggedJob(
        lag_ms, regime.period_ms, run.log.clock.current.speed, len(pairs),
        _paired(values[:, 1], values[:, 3], card), _paired(values[:, 0], values[:, 2], card),
    )  # fmt: skip


def _paired(live: Doubles, simulated: Doubles, card: Ints) -> PairedMean:
    """Means, and the interval of their difference, whose variance is summed over cards."""
    difference = simulated - live
    mean = float(difference.mean())
    by_card = np.bincount(card, weights=difference - mean)
    error = float(np.sqrt((by_card**2).sum())) / len(difference)
    return PairedMean(float(live.mean()), float(simulated.mean()), mean - Z975 * error, mean + Z975 * error)

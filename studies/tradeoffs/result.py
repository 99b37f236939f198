"""The result of the study: a row for each model and layout."""

from collections.abc import Sequence

import msgspec
import numpy as np

from fraudsim.arrays import Doubles
from producers.ledger.comparison import Difference
from studies.model_study import ModelStudyResult
from studies.tradeoffs.cell import Estimate


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model in the worlds of one layout; means over the seeds."""

    layout: str
    model: str
    served: bool
    serving: str
    average_precision: float
    precision_difference: Difference
    """Against the shipped trees, in hundredths of average precision."""
    net_loss_rate: float
    """Cents per 1,000 cards and week."""
    net_loss_difference: Difference
    one_us: Estimate
    """CPU for one row: means of each seed's median and 5 % and 95 % quantiles."""
    batch_us: Estimate
    runtime: str
    size_bytes: float
    train_s: float
    on_frontier: bool
    """No other is at least as good in precision, net loss, latency of one row, size and training time."""


class TradeoffsResult(ModelStudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    rows: list[ModelRow]


def frontier_of(rows: Sequence[ModelRow]) -> list[str]:
    """Names of the models that none beats or equals everywhere and beats somewhere."""

    def figures(one: ModelRow) -> Doubles:
        """Less is better."""
        return np.array(
            [-one.average_precision, one.net_loss_rate, one.one_us.value, one.size_bytes, one.train_s]
        )

    def beaten(one: ModelRow) -> bool:
        own = figures(one)
        others = [figures(other) for other in rows if other is not one]
        return any(bool((other <= own).all() and (other < own).any()) for other in others)

    return [one.model for one in rows if not beaten(one)]

"""The money of each week of a run, and what two models would have made of the same payments."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.drift.decided_weeks import WEEK_MS
from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.settings import Settings
from lifecycle.retraining.steps import probabilities
from model.artefact.costs import Costs, Stakes, decision_costs
from model.artefact.files import load_model
from producers.ledger.account import PER_CARDS
from runner.ledger.run_ledger import run_entries
from runner.ledger.run_payments import frauds_of
from simulator.line.scoring import PaymentColumns
from stream_features.offline.archived_log import first_decisions
from stream_features.vector import SIZE


def ledger_by_week(run: Path, settings: Settings, start_ms: int, cards: int) -> dict[int, dict[str, int]]:
    """By number of the week: payments, frauds, and the ledger's kinds of cost, per 1,000 cards and week."""
    cents: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for entry in run_entries(run, settings):
        week = cents[(entry.payment.ts - start_ms) // WEEK_MS]
        week["payments"] += 1
        week["frauds"] += entry.fraud is not None
        for kind, price in entry.price._asdict().items():
            week[kind] += price
    counts = ("payments", "frauds")
    return {
        number: {kind: value if kind in counts else rate(value, cards) for kind, value in week.items()}
        for number, week in cents.items()
    }


def costs_by_week(
    run: Path, registry: Path, versions: tuple[str, str], start_ms: int, cards: int
) -> dict[int, tuple[int, int]]:
    """By number of the week, what each version's cheapest actions cost by the truth; as `ledger_by_week`.

    A model is asked for its opinion of the vectors that were served: what other decisions would have done to
    blocks, labels and later features is no part of it.
    """
    table = first_decisions(run)
    with_state = pc.and_(
        pc.invert(table["degraded"]), pc.equal(pc.list_value_length(table["features"]), SIZE)
    )
    table = table.filter(with_state)
    vectors = pc.list_flatten(table["features"]).to_numpy(zero_copy_only=False).astype(np.float32)
    columns, fraud = PaymentColumns.of(table), _is_fraud(table, frauds_of(run))
    stakes = Stakes(columns.amount, fraud, columns.can_hold)
    numbers: Ints = (table["ts"].to_numpy() - start_ms) // WEEK_MS
    costs: list[Doubles] = []
    for version in versions:
        model = load_model(registry / version)
        costs.append(decision_costs(probabilities(model, vectors.reshape(-1, SIZE)), stakes, Costs()))
    first, last = (
        {int(n): rate(round(float(cost[numbers == n].sum())), cards) for n in np.unique(numbers)}
        for cost in costs
    )
    return {number: (first[number], last[number]) for number in first}


def _is_fraud(table: pa.Table, frauds: dict[str, Any]) -> Flags:
    is_fraud: Flags = np.asarray(
        pc.is_in(table["tx_id"], value_set=pa.array(list(frauds), pa.string())).to_numpy(), np.bool_
    )
    return is_fraud


def rate(cents: int, cards: int) -> int:
    """Cents of a week per 1,000 cards."""
    return round(cents * PER_CARDS / cards)

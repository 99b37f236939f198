"""What the cheaper models save, measured now, and what they sacrifice, from the manifest."""

import time
from typing import Final

import msgspec
import numpy as np
from rich.table import Table

from fraudsim.settings import ModelKind
from model.artefact.model import Model
from model.forest.forest import Matrix
from stream_features.vector import as_vector

PER_CALL: Final = (1, 512)
TURNS: Final = 31


def sacrifices(model: Model) -> Table:
    """A table of the models of an artefact side by side, with the time that each takes on this machine."""
    variants = model.manifest.variants
    assert variants is not msgspec.UNSET
    full = model.manifest.metrics
    told = {
        "full": (full, ""),
        "cascade": (
            variants.cascade.metrics,
            f"the first stage decides {100 * variants.cascade.cheap_share:.1f} %, "
            f"those below {variants.cascade.limit:.2g}",
        ),
        "distilled": (
            variants.distilled.metrics,
            f"{variants.distilled.trees} trees of depth {variants.distilled.depth}",
        ),
    }
    table = Table(title="what a cheaper model sacrifices", title_justify="left")
    for head in ("FRAUDSIM_MODEL_KIND", "AP", "lost AP", "recall", "lost recall", "cost"):
        table.add_column(head)
    for per_call in PER_CALL:
        table.add_column(f"µs a row, {per_call} a call")
    table.add_column("how")
    took = microseconds_per_row(model)
    for kind in model.kinds:
        metrics, how = told[kind]
        table.add_row(
            kind,
            _figure(metrics.average_precision),
            _lost(full.average_precision, metrics.average_precision),
            _figure(metrics.recall),
            _lost(full.recall, metrics.recall),
            _figure(metrics.cost_share),
            *(f"{took[kind, per_call]:.2f}" for per_call in PER_CALL),
            how,
        )
    table.caption = (
        f"recall at {100 * full.alert_budget:g} % alerts; cost as a share of that of approving everything; "
        f"on {full.test_rows:,} test transactions, {full.test_fraud_rate * full.test_rows:.0f} of them fraud"
    )
    return table


def rows_of(model: Model) -> Matrix:
    """The full model's sample, spread evenly over its ranking, over and over; float32 (512, SIZE)."""
    sample = np.stack([as_vector(row) for row in model.manifest.sample.rows])
    return sample[np.arange(PER_CALL[-1]) % len(sample)]


def microseconds_per_row(model: Model) -> dict[tuple[ModelKind, int], float]:
    """Wall time of scoring a row, by kind and rows in a call: medians of turns in which all alternate."""
    rows = rows_of(model)
    times: dict[tuple[ModelKind, int], list[float]] = {(k, n): [] for k in model.kinds for n in PER_CALL}
    for _ in range(TURNS):
        for (kind, per_call), each in times.items():
            scorer = model.scorer(kind)
            calls = [rows[i : i + per_call] for i in range(0, len(rows), per_call)]
            started = time.perf_counter()
            for some in calls:
                scorer.predict(some)
            each.append(time.perf_counter() - started)
    return {key: float(np.median(each)) / len(rows) * 1e6 for key, each in times.items()}


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _lost(full: float | None, other: float | None) -> str:
    return "undefined" if full is None or other is None else f"{full - other:+.3f}"

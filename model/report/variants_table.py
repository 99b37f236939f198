"""The table of an artefact's cheaper models: the time they save, measured now, and the quality they lose."""

import time
from typing import Final

import msgspec
import numpy as np
from rich.table import Table

from fraudsim.settings import ModelKind
from model.artefact.model import Model
from model.forest.forest import Matrix
from model.report.formatting import figure
from stream_features.vector import as_vector

ROWS_PER_CALL: Final = (1, 512)
ROUNDS: Final = 31


def variants_table(model: Model) -> Table:
    """The full model, the cascade and the distilled model side by side, with their times on this machine."""
    variants = model.manifest.variants
    assert variants is not msgspec.UNSET
    full = model.manifest.metrics
    figures_of_kind = {
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
    for title in ("FRAUDSIM_MODEL_KIND", "AP", "lost AP", "recall", "lost recall", "cost"):
        table.add_column(title)
    for per_call in ROWS_PER_CALL:
        table.add_column(f"µs a row, {per_call} a call")
    table.add_column("how")
    microseconds = microseconds_per_row(model)
    for kind in model.kinds:
        metrics, description = figures_of_kind[kind]
        table.add_row(
            kind,
            figure(metrics.average_precision),
            _loss(full.average_precision, metrics.average_precision),
            figure(metrics.recall),
            _loss(full.recall, metrics.recall),
            figure(metrics.cost_share),
            *(f"{microseconds[kind, per_call]:.2f}" for per_call in ROWS_PER_CALL),
            description,
        )
    table.caption = (
        f"recall at {100 * full.alert_budget:g} % alerts; cost as a share of that of approving everything; "
        f"on {full.test_rows:,} test transactions, {full.test_fraud_rate * full.test_rows:.0f} of them fraud"
    )
    return table


def timed_rows(model: Model) -> Matrix:
    """The full model's sample, spread evenly over its ranking and repeated; float32 (512, SIZE)."""
    sample = np.stack([as_vector(row) for row in model.manifest.sample.rows])
    return sample[np.arange(ROWS_PER_CALL[-1]) % len(sample)]


def microseconds_per_row(model: Model) -> dict[tuple[ModelKind, int], float]:
    """Wall time of scoring a row, by kind and rows per call: the median of rounds in which all take turns."""
    rows = timed_rows(model)
    spans_s: dict[tuple[ModelKind, int], list[float]] = {
        (kind, per_call): [] for kind in model.kinds for per_call in ROWS_PER_CALL
    }
    for _ in range(ROUNDS):
        for (kind, per_call), spans in spans_s.items():
            scorer = model.scorer(kind)
            batches = [rows[i : i + per_call] for i in range(0, len(rows), per_call)]
            started = time.perf_counter()
            for batch in batches:
                scorer.predict(batch)
            spans.append(time.perf_counter() - started)
    return {key: float(np.median(spans)) / len(rows) * 1e6 for key, spans in spans_s.items()}


def _loss(full: float | None, variant: float | None) -> str:
    return "undefined" if full is None or variant is None else f"{full - variant:+.3f}"

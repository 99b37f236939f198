"""What the study says, as sentences and tables."""

from model.zoo.entries import BASE, ZOO
from studies.frame.page import StudyReport, StudyTable
from studies.model_study import interval_text
from studies.report import Cell, Grid, bar
from studies.tradeoffs.result import TradeoffsResult


def report_of(result: TradeoffsResult) -> StudyReport:
    """What the study says."""
    provenance = result.provenance
    return StudyReport(
        question="What is sacrificed for speed and size?",
        answer=_answer(result),
        set_up=f"{result.set_up} "
        "Latency is CPU time of scoring alone, in one thread, from what a scorer would have read, so "
        "that what else the machine does is not counted; in brackets the quantiles of 5 and 95 %. Intervals "
        "of differences are 95 %, Student's t over the worlds.",
        figures=[],
        tables=[
            table
            for layout in result.test_frauds
            for table in (_quality_table(result, layout), _cost_table(result, layout))
        ],
        controls=[],
        limits=[f"{one.name}: {one.serving}." for one in ZOO if not one.served],
        command=f"fraudsim study tradeoffs --out DIR --{provenance.size}",
        source=f"fraudsim {provenance.versions.fraudsim}, code {provenance.code}",
    )


def _answer(result: TradeoffsResult) -> list[str]:
    sentences = []
    for layout in result.test_frauds:
        rows = [row for row in result.rows if row.layout == layout]
        served = [row for row in rows if row.served]
        best = max(rows, key=lambda row: row.average_precision)
        quickest = min(served, key=lambda row: row.one_us.value)
        sentences.append(
            f"{layout[0].upper()}{layout[1:]}: {best.model} ranks best (average precision "
            f"{best.average_precision:.3f}); {quickest.model} is the quickest that is served, "
            f"{quickest.one_us.value:.2g} µs a row, at {quickest.average_precision:.3f}."
        )
    return sentences


def _quality_table(result: TradeoffsResult, layout: str) -> StudyTable:
    rows = [row for row in result.rows if row.layout == layout]
    best = max(row.average_precision for row in rows)
    lines = [
        [
            Cell(row.model + (" *" if row.on_frontier else "")),
            Cell(f"{row.average_precision:.3f}", bar(row.average_precision / best)),
            Cell("" if row.model == BASE else interval_text(row.precision_difference, "+.3f")),
            Cell(f"{row.net_loss_rate / 100:,.0f}"),
            Cell("" if row.model == BASE else interval_text(row.net_loss_difference, "+,.0f")),
        ]
        for row in rows
    ]
    return StudyTable(
        f"Precision and money, {layout}",
        "Net loss: by the ledger, per 1,000 cards and week. *: no other model is at least as good in average "
        "precision, net loss, latency of one row, size and training time.",
        Grid(["model", "AP", "against shipped", "net loss", "against shipped"], lines),
    )


def _cost_table(result: TradeoffsResult, layout: str) -> StudyTable:
    lines = [
        [
            Cell(row.model),
            Cell(f"{row.one_us.value:.3g} ({row.one_us.low:.3g} to {row.one_us.high:.3g})"),
            Cell(f"{row.batch_us.value:.3g}"),
            Cell(row.runtime),
            Cell(f"{row.size_bytes / 1024:,.0f}"),
            Cell(f"{row.train_s:.1f}"),
            Cell("yes" if row.served else "no"),
        ]
        for row in result.rows
        if row.layout == layout
    ]
    heads = ["model", "µs, one row", "µs a row of 512", "scored by", "KiB", "training, s", "servable"]
    return StudyTable(f"Latency and size, {layout}", "All of CPU.", Grid(heads, lines))

"""The summary of a run: figures from its archived log, its truth and the observer's latencies."""

import json
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim import __version__
from fraudsim.archive.log_files import read_log
from fraudsim.log import headers as h
from fraudsim.log.events import ACTIONS
from fraudsim.log.topics import CONTROL, DEAD_LETTERS, DECISIONS, TRANSACTIONS, TRUTH
from fraudsim.whole_files import write_whole
from model.training.ranking import area_under_roc, average_precision, card_precision_at
from producers.sender.shard import split_name
from runner.record.latencies import Latencies, percentiles
from stream_features.offline.archived_log import first_decisions

PACKAGES: Final = ("kafka-python", "aiokafka", "faust-streaming", "redis", "xgboost", "numba", "numpy")
KAFKA_VERSION: Final = "4.3.1"


@dataclass(frozen=True)
class RunFigures:
    """What a run knows of itself that its archived log does not say."""

    planned: int
    """Transactions that the producer put into the log, by its own report."""
    seconds: float
    """Wall time of live traffic."""
    speed: float
    """Event seconds per wall second."""
    latencies: Latencies
    """Wall time from intended send to the decision read back."""
    null_latencies: Latencies
    """The same of the null pipeline."""
    restarts: Mapping[str, int]
    """Number of restarts by process; a process without any is left out."""
    model_version: str
    ledger: Mapping[str, Any]
    """Of what the stream decided, by the truth."""


def summarise(run_dir: Path, figures: RunFigures) -> dict[str, Any]:
    """The content of `summary.json`."""
    transactions = read_log(run_dir, TRANSACTIONS, ["partition", "offset", "tx_id", "headers", "error"])
    decisions = first_decisions(run_dir)
    decision_errors = read_log(run_dir, DECISIONS, ["error"])["error"]  # of those that are no decisions
    decided_ids = set(decisions["tx_id"].to_pylist())
    report = _report(run_dir / "producer.json")
    dead_letters = _dead_letters(run_dir)
    expected_ids, added_count, repeats, rejected = _sent(transactions, report.get("source"), dead_letters)
    sent = figures.planned + added_count - repeats - rejected
    decided = len(expected_ids & decided_ids)
    return {
        "sent": sent,
        "decided": decided,
        "lost": sent - decided,
        "duplicated": decision_errors.null_count - decisions.num_rows,
        "repeats": repeats,
        "dead_lettered": len(dead_letters),
        "seconds": round(figures.seconds, 3),
        "throughput_tps": _throughput(decisions),
        "latency_ms": figures.latencies.percentiles(),
        "null_latency_ms": figures.null_latencies.percentiles(),
        "send_delay_ms": {"p50": report.get("delay_p50_ms"), "p99": report.get("delay_p99_ms")},
        "send_tick_ms": report.get("tick_ms"),
        "send_late": report.get("late", 0),
        "send_behind_s": report.get("behind_s", 0.0),
        "staleness_ms": _percentiles_of(
            decisions.filter(pc.invert(decisions["degraded"])), "staleness_ms", ("p50", "p99")
        ),
        "stages_ms": _stages(decisions),
        "labels": _report(run_dir / "labels.json"),
        "flags": {f: int(pc.sum(decisions[f]).as_py() or 0) for f in ("stale", "degraded", "uncertain")},
        "speed": figures.speed,
        "restarts": dict(figures.restarts),
        "actions": {a: int(pc.sum(pc.equal(decisions["action"], a)).as_py() or 0) for a in ACTIONS},
        **_detection(run_dir, decisions),
        "controls": _controls(run_dir),
        "ledger": figures.ledger,
        "model": figures.model_version,
        "versions": {
            "fraudsim": __version__,
            "python": platform.python_version(),
            "kafka": KAFKA_VERSION,
            **{name: version(name) for name in PACKAGES},
        },
    }


def _sent(
    transactions: pa.Table, source: str | None, dead_letters: set[tuple[str, int, int]]
) -> tuple[set[str], int, int, int]:
    """The transactions of the log that need a decision.

    Returns:
        The ids that need a decision (records with a source's ordinal or a decision of HTTP, and payments that
        customers tried again), the number of ids that are not the source's, those of another source such as a
        load test among them, and two numbers of records of the run's own source that need no decision: those
        that repeat an id, and those that became dead letters, as a script's bad data should.
    """
    source_ids: set[str] = set()
    added_ids: set[str] = set()
    other_ids: set[str] = set()
    repeats = rejected = 0
    columns = (transactions[name].to_pylist() for name in ("partition", "offset", "tx_id", "headers"))
    for partition, offset, tx_id, headers in zip(*columns, strict=True):
        header_values = {item["name"]: item["value"] for item in headers}
        is_own = split_name(header_values.get(h.SOURCE, b"").decode(errors="replace"))[0] == source
        if h.ORDINAL in header_values and (TRANSACTIONS, partition, offset) in dead_letters:
            rejected += is_own
        elif h.ORDINAL in header_values and tx_id is not None:
            repeats += is_own and tx_id in source_ids
            source_ids.add(tx_id)
            if not is_own:
                other_ids.add(tx_id)
        elif (is_own or h.DECISION in header_values) and tx_id is not None:
            added_ids.add(tx_id)
    return source_ids | added_ids, len(added_ids - source_ids) + len(other_ids), repeats, rejected


def _dead_letters(run_dir: Path) -> set[tuple[str, int, int]]:
    """Topic, partition and offset of every record that became a dead letter."""
    keys = (key.split("/") for key in read_log(run_dir, DEAD_LETTERS, ["key"])["key"].to_pylist())
    return {(topic, int(partition), int(offset)) for topic, partition, offset in keys}


def _controls(run_dir: Path) -> dict[str, int]:
    """Controls of the run by kind, without those that cannot be read; `placed` are attacks and drifts that
    became part of the stream."""
    kinds = read_log(run_dir, CONTROL, ["kind"])["kind"].drop_null().to_pylist()
    return dict(sorted(Counter(kinds).items()))


def _throughput(decisions: pa.Table) -> float:
    """Decisions per second between the first and the last, which leaves out the start of the producer."""
    written = pc.min_max(decisions["broker_ts_ms"]).as_py()
    span_ms = (written["max"] or 0) - (written["min"] or 0)
    return round(1000 * decisions.num_rows / span_ms, 1) if span_ms else 0.0


def _report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return report


def _percentiles_of(table: pa.Table, column: str, names: tuple[str, ...]) -> dict[str, float | None]:
    by_name = percentiles(table[column].to_numpy())
    return {name: by_name[name] for name in names}


def _stages(decisions: pa.Table) -> dict[str, dict[str, float | None]]:
    """p50 and p99 in ms of each stage, of the decisions that the stream made."""
    stream = decisions.filter(pc.equal(decisions["via"], "stream"))
    names = ["intended", "received", "state_read", "features", "scored", "decided"]
    stamps = {name: stream[f"stamp_{name}"].to_numpy() for name in names}
    result = {}
    for start, end in pairwise(names):
        stage_ms = percentiles((stamps[end] - stamps[start]) / 1000)
        result[end] = {"p50": stage_ms["p50"], "p99": stage_ms["p99"]}
    return result


def _detection(run_dir: Path, decisions: pa.Table) -> dict[str, Any]:
    """Detection figures of the stream. A transaction that the truth does not name is honest."""
    truth = read_log(run_dir, TRUTH, ["tx_id", "is_fraud", "error"])
    truth = truth.filter(pc.is_null(truth["error"])).drop_columns(["error"])
    keys = truth.group_by("tx_id").aggregate([("is_fraud", "max")])
    stream = decisions.filter(pc.equal(decisions["via"], "stream"))
    joined = stream.select(["tx_id", "ts", "card_id", "score"]).join(keys, "tx_id")
    is_fraud = pc.fill_null(joined["is_fraud_max"], False).to_numpy(zero_copy_only=False).astype(bool)
    scores = joined["score"].to_numpy()
    return {"detection": _detection_figures(joined, scores, is_fraud)}


def _detection_figures(
    joined: pa.Table, scores: npt.NDArray[np.float64], is_fraud: npt.NDArray[np.bool_]
) -> dict[str, float | None]:
    if not is_fraud.any() or is_fraud.all():
        return {"average_precision": None, "auc": None, "card_precision_at_100": None}
    ts = joined["ts"].to_numpy()
    card = joined["card_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    precision, _ = card_precision_at(100, ts, card, is_fraud, scores, int(ts.min()))
    return {
        "average_precision": round(average_precision(is_fraud, scores), 4),
        "auc": round(area_under_roc(is_fraud, scores), 4),
        "card_precision_at_100": round(precision, 4),
    }


def write_summary(run_dir: Path, summary: dict[str, Any]) -> Path:
    """Write `summary.json`; returns its path."""
    path = run_dir / "summary.json"
    write_whole(path, json.dumps(summary, indent=2) + "\n")
    return path

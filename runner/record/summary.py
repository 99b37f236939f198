"""What a run came to: counted from its archived log, its truth and what the observer saw."""

import json
import platform
from collections.abc import Mapping
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
from fraudsim.log.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS, TRUTH
from model.training.ranking import area_under_roc, average_precision, card_precision_at
from producers.sender.shard import split_name
from runner.record.observer import Latencies, percentiles
from stream_features.offline.archived_log import first_decisions

PACKAGES: Final = ("kafka-python", "aiokafka", "faust-streaming", "redis", "xgboost", "numba", "numpy")
KAFKA_VERSION: Final = "4.3.1"


def summarise(
    run_dir: Path,
    *,
    planned: int,
    seconds: float,
    speed: float,
    latencies: Latencies,
    null_latencies: Latencies,
    restarts: Mapping[str, int],
    model_version: str,
) -> dict[str, Any]:
    """The content of `summary.json`.

    `planned` is how many transactions the producer put into the log by its own report, `seconds` the wall
    time of live traffic, the latencies wall-clock from intended send to decision read back.
    """
    transactions = read_log(run_dir, TRANSACTIONS, ["partition", "offset", "tx_id", "headers", "error"])
    decisions = first_decisions(run_dir)
    every_decision = read_log(run_dir, DECISIONS, ["offset"]).num_rows
    decided_ids = set(decisions["tx_id"].to_pylist())
    report = _report(run_dir / "producer.json")
    dead_letters = _dead_letters(run_dir)
    sent_ids, http, repeats, set_aside = _sent(transactions, report.get("source"), dead_letters)
    sent = planned + http - repeats - set_aside
    decided = len(sent_ids & decided_ids)
    return {
        "sent": sent,
        "decided": decided,
        "lost": sent - decided,
        "duplicated": every_decision - decisions.num_rows,
        "repeats": repeats,
        "dead_lettered": len(dead_letters),
        "seconds": round(seconds, 3),
        "throughput_tps": _throughput(decisions),
        "latency_ms": latencies.percentiles(),
        "null_latency_ms": null_latencies.percentiles(),
        "send_delay_ms": {"p50": report.get("delay_p50_ms"), "p99": report.get("delay_p99_ms")},
        "send_late": report.get("late", 0),
        "send_behind_s": report.get("behind_s", 0.0),
        "staleness_ms": _percentiles_of(
            decisions.filter(pc.invert(decisions["degraded"])), "staleness_ms", ("p50", "p99")
        ),
        "stages_ms": _stages(decisions),
        "labels": _report(run_dir / "labels.json"),
        "flags": {f: int(pc.sum(decisions[f]).as_py() or 0) for f in ("stale", "degraded", "uncertain")},
        "speed": speed,
        "restarts": dict(restarts),
        "actions": {a: int(pc.sum(pc.equal(decisions["action"], a)).as_py() or 0) for a in ACTIONS},
        **_detection(run_dir, decisions),
        "model": model_version,
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
    """Ids that ought to be decided: of records with a source's ordinal or HTTP's decision.

    Also how many are HTTP's alone, and how many records of the run's own source need no decision: those that
    repeat an id, and those that were set aside, as a script's bad data should be.
    """
    ids: set[str] = set()
    http: set[str] = set()
    repeats = aside = 0
    columns = (transactions[name].to_pylist() for name in ("partition", "offset", "tx_id", "headers"))
    for partition, offset, tx_id, headers in zip(*columns, strict=True):
        names = {item["name"]: item["value"] for item in headers}
        own = split_name(names.get(h.SOURCE, b"").decode(errors="replace"))[0] == source
        if h.ORDINAL in names and (TRANSACTIONS, partition, offset) in dead_letters:
            aside += own
        elif h.ORDINAL in names and tx_id is not None:
            repeats += own and tx_id in ids
            ids.add(tx_id)
        elif h.DECISION in names and tx_id is not None:
            http.add(tx_id)
    return ids | http, len(http - ids), repeats, aside


def _dead_letters(run_dir: Path) -> set[tuple[str, int, int]]:
    """Topic, partition and offset of every record that was set aside."""
    keys = (key.split("/") for key in read_log(run_dir, DEAD_LETTERS, ["key"])["key"].to_pylist())
    return {(topic, int(partition), int(offset)) for topic, partition, offset in keys}


def _throughput(decisions: pa.Table) -> float:
    """Decisions per second between the first and the last: starting the producer is no part of it."""
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
    every = percentiles(table[column].to_numpy())
    return {name: every[name] for name in names}


def _stages(decisions: pa.Table) -> dict[str, dict[str, float | None]]:
    """p50 and p99 of each stage of the stream's decisions, ms."""
    stream = decisions.filter(pc.equal(decisions["via"], "stream"))
    names = ["intended", "received", "state_read", "features", "scored", "decided"]
    stamps = {name: stream[f"stamp_{name}"].to_numpy() for name in names}
    result = {}
    for before, after in pairwise(names):
        every = percentiles((stamps[after] - stamps[before]) / 1000)
        result[after] = {"p50": every["p50"], "p99": every["p99"]}
    return result


def _detection(run_dir: Path, decisions: pa.Table) -> dict[str, Any]:
    """How well fraud was found in the stream: what the generator's truth does not name is honest."""
    truth = read_log(run_dir, TRUTH, ["tx_id", "is_fraud", "typology", "error"])
    truth = truth.filter(pc.is_null(truth["error"])).drop_columns(["error"])
    keys = truth.group_by("tx_id").aggregate([("is_fraud", "max"), ("typology", "max")])
    stream = decisions.filter(pc.equal(decisions["via"], "stream"))
    joined = stream.select(["tx_id", "ts", "card_id", "score", "action"]).join(keys, "tx_id")
    is_fraud = pc.fill_null(joined["is_fraud_max"], False).to_numpy(zero_copy_only=False).astype(bool)
    scores = joined["score"].to_numpy()
    caught = np.array([action != "approve" for action in joined["action"].to_pylist()], dtype=bool)
    typologies = np.array([name or "unnamed" for name in joined["typology_max"].to_pylist()], dtype=object)
    return {
        "detection": _detection_figures(joined, scores, is_fraud),
        "by_typology": {
            str(name): {
                "fraud": int((is_fraud & (typologies == name)).sum()),
                "caught": int((is_fraud & caught & (typologies == name)).sum()),
            }
            for name in sorted(set(typologies[is_fraud].tolist()))
        },
        "false_alarms": int((caught & ~is_fraud).sum()),
    }


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
    """`summary.json`, by rename."""
    path = run_dir / "summary.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(summary, indent=2) + "\n")
    temporary.replace(path)
    return path

"""The trial of a shadow: after some days beside the champion it decides, if it would have cost no more.

Both score the vectors that were served in those days, of which neither has learned; the labels are those
known by then. The trial's file stands beside the retraining's result, so one that was killed goes on with it.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import log_files, read_archived, read_log
from fraudsim.arrays import Floats
from fraudsim.log.topics import DECISIONS, LABELS
from lifecycle.retraining.gate import GateFigures, compare
from lifecycle.retraining.job import RetrainingJob, read_json, write_json
from lifecycle.retraining.line_clock import newest_of
from lifecycle.retraining.steps import probabilities
from model.artefact.costs import Costs, Stakes, decision_costs
from model.artefact.files import load_model
from model.registry.aliases import Aliases, promote, remove
from model.registry.audit import Cause
from model.registry.versions import change_aliases, folder_of, read_aliases
from model.training.label_knowledge import LabelKnowledge
from simulator.line.scoring import PaymentColumns
from stream_features.offline.columns import hashes
from stream_features.vector import SIZE

TRIAL_FILE: Final = "trial.json"
_COLUMNS: Final = [
    "partition", "offset", "error", "tx_id", "ts", "card_id", "amount_cents", "channel", "source_partition",
    "source_offset", "features", "degraded",
]  # fmt: skip
_LABEL_COLUMNS: Final = ["error", "tx_id", "is_fraud", "source", "known_at"]


class ShadowTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A shadow's trial, or how it ended."""

    version: str
    champion: str
    began_ms: int
    """Event time, as is `ended_ms`."""
    status: Literal["running", "promoted", "dropped", "ended by hand"] = "running"
    ended_ms: int | None = None
    figures: GateFigures | None = None


def trial_of(job: RetrainingJob, now_ms: int) -> ShadowTrial | None:
    """The trial of a retraining's shadow, begun now if it is new; None if it left no shadow."""
    path, result = job.folder / TRIAL_FILE, job.result
    if path.exists():
        return read_json(path, ShadowTrial)
    if result is None or result.status != "shadow" or result.version is None:
        return None
    trial = ShadowTrial(version=result.version, champion=job.plan.parent, began_ms=now_ms)
    write_json(path, trial)
    return trial


def end_trial(job: RetrainingJob, trial: ShadowTrial, run: Path, now_ms: int) -> ShadowTrial:
    """The trial after its days: still running where no fraud is known yet, else with its end.

    Raises:
        FraudsimError: a file or a model cannot be read, or the roles cannot be written.
    """
    registry = Path(job.plan.registry)
    aliases = read_aliases(registry)
    if aliases.role_of(trial.version) == "champion":
        return _ended(job, trial, "promoted", now_ms)  # by this trial, before a kill; or by hand
    if aliases.role_of(trial.version) != "shadow" or aliases.champion != trial.champion:
        return _ended(job, trial, "ended by hand", now_ms)
    figures = trial_figures(run, registry, trial, now_ms)
    if figures is None:
        return trial
    reason = (
        f"{figures.difference:+,.0f} cents for 1,000 payments against the champion in {_days(trial, now_ms)} "
        f"days ({figures.low:+,.0f} to {figures.high:+,.0f})"
    )
    trial = msgspec.structs.replace(trial, figures=figures)
    cause = Cause(actor=f"trial of retraining {job.folder.name}", reason=reason)

    def change(aliases: Aliases) -> Aliases:
        return promote(aliases, trial.version) if figures.passed else remove(aliases, trial.version)

    change_aliases(registry, change, cause)
    return _ended(job, trial, "promoted" if figures.passed else "dropped", now_ms)


def trial_figures(run: Path, registry: Path, trial: ShadowTrial, now_ms: int) -> GateFigures | None:
    """Both models' costs on what was served since the trial began; None while no fraud of it is known."""
    table = _served(run, trial.began_ms, now_ms)
    if not table.num_rows:
        return None
    labels = read_log(run, LABELS, _LABEL_COLUMNS)
    fraud = LabelKnowledge.of(table, labels.filter(pc.is_null(labels["error"]))).fraud_known_by(now_ms)
    if not fraud.any():
        return None
    columns = PaymentColumns.of(table)
    vectors: Floats = pc.list_flatten(table["features"]).to_numpy(zero_copy_only=False).astype(np.float32)
    stakes = Stakes(columns.amount, fraud, columns.can_hold)
    vectors = vectors.reshape(-1, SIZE)
    models = (load_model(folder_of(registry, version)) for version in (trial.champion, trial.version))
    champion, shadow = (decision_costs(probabilities(model, vectors), stakes, Costs()) for model in models)
    cards = np.unique(hashes(table, "card_id"), return_inverse=True)[1].ravel().astype(np.int64)
    return compare(cards, champion, shadow, int(fraud.sum()))


def _served(run: Path, from_ms: int, until_ms: int) -> pa.Table:
    """The decisions with state of an interval, each payment's first."""
    empty = read_log(run / "none", DECISIONS, _COLUMNS)
    files = [path for path in log_files(run, DECISIONS) if (newest_of(path) or 0) >= from_ms]
    table = pa.concat_tables([empty, *(read_archived(path, DECISIONS, _COLUMNS) for path in files)])
    table = table.filter(pc.is_null(table["error"]))
    within = pc.and_(pc.greater_equal(table["ts"], from_ms), pc.less(table["ts"], until_ms))
    with_state = pc.and_(
        pc.invert(table["degraded"]), pc.equal(pc.list_value_length(table["features"]), SIZE)
    )
    table = table.filter(pc.and_(within, with_state))
    sources = np.stack([table["source_partition"].to_numpy(), table["source_offset"].to_numpy()], axis=1)
    _, first = np.unique(sources, axis=0, return_index=True)
    return table.take(pa.array(np.sort(first)))


def _ended(
    job: RetrainingJob,
    trial: ShadowTrial,
    status: Literal["promoted", "dropped", "ended by hand"],
    now_ms: int,
) -> ShadowTrial:
    trial = msgspec.structs.replace(trial, status=status, ended_ms=now_ms)
    write_json(job.folder / TRIAL_FILE, trial)
    return trial


def _days(trial: ShadowTrial, now_ms: int) -> str:
    return f"{(now_ms - trial.began_ms) / 86_400_000:.1f}"

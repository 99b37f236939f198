"""The one-shot steps of a deployment. A repeated step checks and keeps what the first one made."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog, next_segment, start_log
from fraudsim.log.topics import CLOCK
from fraudsim.settings import Settings
from model.artefact.first_stage import compile_first_stage
from model.forest.shap import compile_tree_explainer
from model.forest.trees import compile_tree_predictor
from producers.history.reader import History, read_history, world_of
from producers.history.writer import write_history
from producers.traffic.live_source import LiveStream
from producers.world.config import WorldConfig
from producers.world.world import World
from runner.line.speed import speed_for


def keep_or_make_history(
    directory: Path, config: WorldConfig, days: int, on_day: Callable[[int], None] = lambda _: None
) -> tuple[History, bool]:
    """The history of a synthetic world in `directory`, and whether this call made it.

    Raises:
        FraudsimError: the existing history is of another world or length, or cannot be read.
    """
    if not (directory / "manifest.json").exists():
        write_history(directory, World(config), days, on_day)
        return read_history(directory), True
    history = read_history(directory)
    world = world_of(history)  # raises if the live stream cannot continue from it
    present = {**asdict(world.config), "days": history.manifest.days}
    requested = {**asdict(config), "days": days}
    for name, value in requested.items():
        if present.get(name) != value:
            raise FraudsimError(
                f"history {directory} has {name}={present.get(name)}, but {value} is requested: "
                "request the same, or remove the history to make a new one"
            )
    return history, False


def keep_or_train_model(history: History, directory: Path, settings: Settings) -> tuple[str, bool]:
    """The version of the model in `directory`, trained on `history`, and whether this call trained it.

    Raises:
        FraudsimError: the existing model is of another history, or does not score as when it was trained.
    """
    from model.artefact.files import MANIFEST_FILE, load_model
    from model.training.train import train_model

    if not (directory / MANIFEST_FILE).exists():
        return train_model(history.directory, directory, settings).version, True
    manifest = load_model(directory).manifest
    if manifest.data_fingerprint != history.manifest.fingerprint:
        raise FraudsimError(
            f"model {directory} was trained on history {manifest.data_fingerprint[:16]}, not on "
            f"{history.manifest.fingerprint[:16]} in {history.directory}: remove the model to train anew"
        )
    return manifest.version, False


def keep_or_register_model(model: Path, registry: Path) -> tuple[str, bool]:
    """The champion of a registry, and whether this call made the registry, with `model` as champion.

    Raises:
        FraudsimError: the existing champion cannot be served.
    """
    from model.artefact.files import load_model
    from model.registry import versions as models

    if models.is_registry(registry):
        champion = models.read_aliases(registry).champion
        load_model(models.folder_of(registry, champion))
        return champion, False
    return models.add_version(model, registry)[1].champion, True


def keep_or_copy_policy(directory: Path) -> tuple[str, bool]:
    """The version of the policy in `directory`, and whether this call copied the shipped policy there.

    Raises:
        FraudsimError: the existing folder holds no valid policy.
    """
    from scorer.policy.file import SHIPPED, load_policy
    from scorer.policy.store import put

    if directory.exists():
        return load_policy(directory).version, False
    return put(SHIPPED, directory).version, True


def keep_or_start_clock(
    settings: Settings, history: History, speed: float, topic: str = CLOCK
) -> tuple[Clock, bool]:
    """The clock of the log that follows `history`, and whether this call started the log.

    Raises:
        FraudsimError: the log belongs to another history, or its horizon is too short for `speed`.
    """
    manifest = history.manifest
    log = ClockLog(settings.kafka_bootstrap, Clock(), topic)
    log.refresh()
    is_new = not log.clock
    if is_new:
        folder = str(history.directory)
        log = start_log(settings, manifest.end_ms, speed, folder, manifest.fingerprint, topic)
    first = log.clock.first
    if first.history_fingerprint != manifest.fingerprint:
        raise FraudsimError(
            f"run.clock belongs to log {first.log_id} of history {first.history_fingerprint[:16]}, not "
            f"{manifest.fingerprint[:16]}: use the history it was started with, or another Kafka"
        )
    # Raises if the horizon is too short. The producer would fail likewise, but only after all else is up.
    next_segment(log.clock, speed, manifest.end_ms, 0)
    return log.clock, is_new


def stream_at(run: Path, rate: float, labels: bool = True) -> LiveStream:
    """The live stream that follows a run folder's history, at `rate` transactions per wall second."""
    history = run / "history"
    speed = speed_for(rate, read_history(history).manifest.transactions_per_day)
    return LiveStream(history=history, speed=speed, labels=labels)


def compile_kernels() -> None:
    """Run every numba kernel once, on a small world, so that its machine code is cached."""
    from stream_features.kernels.state import warm_up_kernel
    from stream_features.offline.bulk import bulk_features
    from stream_features.store.prime import state_of_history

    with tempfile.TemporaryDirectory() as folder:
        manifest = write_history(Path(folder), World(WorldConfig(cards=50, seed=1)), 12)
        history = read_history(Path(folder))
        transactions, labels = history.transactions(), history.labels()
        state_of_history(transactions, labels, manifest.end_ms, horizon_ms=120_000)
        bulk_features(transactions, labels)
    warm_up_kernel()
    compile_tree_predictor()
    compile_tree_explainer()
    compile_first_stage()

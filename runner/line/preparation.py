"""Preparation of a run: policy, history, speed, model, clock and primed state.

The modules of training, datasets and priming are imported late, while Kafka and Redis already run.
"""

import shutil

from fraudsim.log import topics
from fraudsim.log.clock_log import start_log
from fraudsim.settings import Settings
from producers.history.reader import History, read_history, world_of
from producers.history.writer import write_history
from runner.line.options import LineOptions, Say
from runner.line.speed import consistent_speed, speed_for, speed_of_run
from scorer.policy.file import SHIPPED
from scorer.policy.store import put


def copy_policy(options: LineOptions, settings: Settings, say: Say) -> Settings:
    """Copy the policy into the run folder; returns the settings that name the copy.

    The copy records by which policy the run decided, and can be changed during the run.
    """
    folder = options.run_dir / "policy"
    policy = put(settings.policy or SHIPPED, folder)
    say(f"policy: {policy.version}")
    return settings.model_copy(update={"policy": folder})


def make_history(options: LineOptions, settings: Settings, say: Say) -> History:
    """Copy, read or generate the run's history, in this order of preference; a copy includes the model.

    Raises:
        FraudsimError: the file to replay cannot be read.
    """
    folder = options.run_dir / "history"
    if options.reuse is not None:
        for name in ("history", "model"):
            shutil.copytree(options.reuse / name, options.run_dir / name)
    elif options.replay is not None:
        from producers.datasets.registry import replay_history
        from producers.world.settings import label_delays

        say(f"reading {options.replay.name}: its first days become the history")
        replay_history(options.replay, folder, delays=label_delays(settings))
    else:
        from producers.world.settings import world_config
        from producers.world.world import World

        say(f"generating {options.history_days} days of history for {options.cards:,} cards")
        write_history(folder, World(world_config(settings, options.cards)), options.history_days)
    history = read_history(folder)
    manifest = history.manifest
    say(
        f"history: {manifest.transactions:,} transactions of {manifest.days} days, "
        f"{manifest.fraud_rate:.2%} fraud"
    )
    return history


def check_prepared_speed(options: LineOptions) -> None:
    """Check the speed before a run is made, where the history to which it must fit is there already.

    Raises:
        FraudsimError: the speed given contradicts the rate and the number of cards.
    """
    if options.reuse is not None and options.speed is not None:
        event_speed(options, read_history(options.reuse / "history"))


def event_speed(options: LineOptions, history: History) -> float:
    """Event seconds per wall second of the live stream.

    Raises:
        FraudsimError: the speed given contradicts the rate and the number of cards.
    """
    if options.replay is not None:
        assert options.speed is not None
        return options.speed
    manifest = history.manifest
    if options.seconds is None:
        derived = speed_for(options.rate, manifest.transactions_per_day)
    else:
        derived = speed_of_run(world_of(history), manifest.days, options.rate, options.seconds)
    return consistent_speed(options.speed, derived, options.rate, manifest.cards)


def make_model(options: LineOptions, settings: Settings, say: Say) -> None:
    """Train the run's model, unless it was copied, and register it as champion of the run's own registry.

    Other models can then be registered beside it.
    """
    from model.registry import versions as registry

    run_dir = options.run_dir
    if options.reuse is None:
        from model.training.train import train_model

        say("training the model on the history")
        train_model(run_dir / "history", run_dir / "model", settings)
    registry.add_version(run_dir / "model", run_dir / "models")


def start_log_and_prime(
    options: LineOptions, settings: Settings, history: History, speed: float, say: Say
) -> int:
    """Create the topics, start the run's clock and prime Redis from the history.

    Returns:
        The number of keys primed.
    """
    for sentence in topics.create_topics(settings):
        say(sentence)
    folder, manifest = options.run_dir / "history", history.manifest
    clock_log = start_log(settings, manifest.end_ms, speed, str(folder), manifest.fingerprint)
    from stream_features.offline.history_tables import read_history_tables
    from stream_features.store.prime import prime, state_of_history

    transactions, labels = read_history_tables(folder)
    segment = clock_log.clock.first
    table = state_of_history(transactions, labels, segment.event_epoch_ms, segment.horizon_ms)
    prime(settings, segment, table, manifest.fingerprint, labels=labels)
    return len(table)

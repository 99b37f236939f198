"""The live stream that follows a log's history: a world, a file, with a script or without."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fraudsim.clock import Clock
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings

if TYPE_CHECKING:
    from producers.source import Source
    from producers.world import World


class LiveSource(NamedTuple):
    """A source and what goes with it."""

    source: "Source"
    lasts_s: float | None
    """Wall seconds of its transactions; None where it has no end."""
    seed: int
    longest_days: int
    """No label comes later than this after its transaction."""
    world: "World | None"


def live_source(
    history: Path | None,
    replay: Path | None,
    script: Path | None,
    clock: Clock,
    speed: float,
    settings: Settings,
    log: Any,
    *,
    labels: bool = True,
) -> LiveSource:
    """The stream that goes on where the history ends.

    Args:
        history: folder of the world's history; or else
        replay: a file of a known layout.
        script: a scenario file to play on it.
        clock: of the log; its first segment starts where the history ends.
        labels: whether they are wanted; of a world it takes seconds to find those of the days before.

    Raises:
        FraudsimError: neither or both of history and replay are given; a file is bad or does not fit the log.
    """
    if (history is None) == (replay is None):
        raise FraudsimError("say either --history DIR or --replay FILE")
    split_ms = clock.first.event_epoch_ms
    if replay is not None:
        live = _of_file(replay, split_ms, speed, settings, log)
    else:
        assert history is not None
        live = _of_world(history, split_ms, labels)
    if script is None:
        return live
    from producers.script import read_script
    from producers.scripted import ScriptedSource

    return live._replace(source=ScriptedSource(live.source, read_script(script), speed, live.world))


def _of_file(replay: Path, split_ms: int, speed: float, settings: Settings, log: Any) -> LiveSource:
    from producers.datasets.dataset import LABEL_SEED
    from producers.datasets.known import replay_source
    from producers.world_settings import label_delays

    source = replay_source(replay, split_ms, label_delays(settings))
    for reason, rows in source.dropped.items():
        log.warning("rows left out, no event can carry them", reason=reason, rows=rows)
    # Its last labels come months after its last transaction.
    return LiveSource(source, source.seconds(speed), LABEL_SEED, source.longest_days, None)


def _of_world(history: Path, split_ms: int, labels: bool) -> LiveSource:
    from producers.history import read_history, world_of
    from producers.world_source import WorldSource

    opened = read_history(history)
    manifest = opened.manifest
    if manifest.source != "world":
        raise FraudsimError(f"history {history} is of a {manifest.source} file: name it with --replay FILE")
    if manifest.end_ms != split_ms:
        raise FraudsimError(
            f"history {history} ends at {manifest.end_ms}, the log starts at {split_ms}: not the same run"
        )
    world = world_of(opened)
    source = WorldSource(world, manifest.days, labels=labels)
    return LiveSource(source, None, world.config.seed, world.config.delays.longest_days, world)

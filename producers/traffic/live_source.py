"""The live stream that follows a log's history: of a world or of a file, with or without a script."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock
from fraudsim.log.topics import LABELS
from fraudsim.settings import Settings
from producers.sources.source import Item, Source

if TYPE_CHECKING:
    from producers.world.world import World


@dataclass(frozen=True, kw_only=True)
class LiveStream:
    """The options that define a live stream: exactly one of `history` and `replay` is given."""

    history: Path | None = None
    """Folder of the world's history."""
    replay: Path | None = None
    """File of a known layout."""
    script: Path | None = None
    """Scenario file to play on the stream."""
    speed: float = 1.0
    """Event seconds per wall second."""
    labels: bool = True
    """Whether the labels are sent as the world has them, whatever is decided."""
    honest: bool = True
    """False leaves out honest transactions and their truth, if a world plays without a script."""


class LiveSource(NamedTuple):
    """An opened live stream."""

    source: Source
    duration_s: float | None
    """Wall seconds to its last transaction; None if it is endless."""
    seed: int
    longest_days: int
    """No label becomes known later than this after its transaction."""
    world: "World | None"


def live_source(stream: LiveStream, clock: Clock, settings: Settings, log: Any = None) -> LiveSource:
    """Open the stream that continues where the history of the log ends.

    Args:
        clock: of the log; its first segment starts where the history ends.
        log: a structlog logger for warnings about rows of a file that are left out.

    Raises:
        FraudsimError: neither or both of history and replay are given; a file is bad or does not fit the log.
    """
    if (stream.history is None) == (stream.replay is None):
        raise FraudsimError("give either --history DIR or --replay FILE")
    split_ms = clock.first.event_epoch_ms
    if stream.replay is not None:
        live = _open_file(stream.replay, split_ms, stream.speed, settings, log)
    else:
        assert stream.history is not None
        honest = stream.honest or stream.script is not None
        live = _open_world(stream.history, split_ms, stream.labels, honest)
    if stream.script is not None:
        from producers.scenario.script_file import read_script
        from producers.scenario.scripted_source import ScriptedSource

        script = read_script(stream.script)
        live = live._replace(source=ScriptedSource(live.source, script, stream.speed, live.world))
    return live if stream.labels else live._replace(source=_UnlabelledSource(live.source))


def _open_file(replay: Path, split_ms: int, speed: float, settings: Settings, log: Any) -> LiveSource:
    from producers.datasets.dataset import LABEL_SEED
    from producers.datasets.registry import replay_source
    from producers.world.settings import label_delays

    source = replay_source(replay, split_ms, label_delays(settings))
    for reason, rows in source.dropped.items() if log is not None else ():
        log.warning("rows left out, no event can carry them", reason=reason, rows=rows)
    for reason, ids in source.doubts.items() if log is not None else ():
        log.warning("ids may have lost digits", reason=reason, ids=ids)
    # The last labels become known months after the last transaction, so they do not define the duration.
    return LiveSource(source, source.seconds(speed), LABEL_SEED, source.longest_days, None)


def _open_world(directory: Path, split_ms: int, labels: bool, honest: bool) -> LiveSource:
    from producers.history.reader import read_history, world_of
    from producers.sources.world_source import WorldSource

    history = read_history(directory)
    manifest = history.manifest
    if manifest.source != "world":
        raise FraudsimError(f"history {directory} is of a {manifest.source} file: name it with --replay FILE")
    if manifest.end_ms != split_ms:
        raise FraudsimError(
            f"history {directory} ends at {manifest.end_ms}, the log starts at {split_ms}: not the same run"
        )
    world = world_of(history)
    labels_before = history.labels() if labels else None
    source = WorldSource(world, manifest.days, labels=labels, labels_before=labels_before, honest=honest)
    return LiveSource(source, None, world.config.seed, world.config.delays.longest_days, world)


class _UnlabelledSource:
    """A source without its labels; a `Source`. Ordinals count per topic, so the others keep theirs."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = source.name
        self.start_ms = source.start_ms

    def items(self) -> Iterator[Item]:
        return (item for item in self._source.items() if item.topic != LABELS)

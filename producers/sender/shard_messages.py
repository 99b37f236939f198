"""What the coordinator and the shard processes tell each other through their pipes.

To a shard: a `Segment` to send by, or None to stop. From a shard: `ShardReady`, then `SendReport`s, and at
the end one of `ShardFinished`, `ShardRefused` and `SendError`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fraudsim.log.clock import Clock
from fraudsim.settings import Settings
from producers.sender.send_plan import SendReport
from producers.sources.source import Source

MakeSource = Callable[[Clock], Source]
"""Called in every process; it must be picklable, the source need not be."""


@dataclass(frozen=True)
class ShardingPlan:
    """What every shard process is started with."""

    make_source: MakeSource
    settings: Settings
    shards: int
    speed: float
    seconds: float | None
    prefix: str


@dataclass(frozen=True)
class ShardReady:
    """The shard has read the log and waits for the clock."""

    first_due_ms: int
    """Event time of the first record that it is to send."""
    has_records: bool
    """The log holds records of the shard already."""


@dataclass(frozen=True)
class ShardRefused:
    """`send` raised a `FraudsimError` with this message."""

    message: str


@dataclass(frozen=True)
class ShardFinished:
    """The shard sent its stream to the end, or stopped on request."""

    report: SendReport

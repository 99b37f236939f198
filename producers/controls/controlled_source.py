"""A live stream with the attacks that have been launched on it so far. Pure."""

from collections.abc import Iterator
from heapq import merge
from operator import itemgetter

from producers.controls.attack import records_of
from producers.controls.controls import Placement
from producers.sources.source import Item, Source
from producers.world.world import World


class ControlledSource:
    """A `Source` around another.

    An attack whose place is later than what has been sent leaves the sequence before it as it is, so a
    sender may add it while it sends, and finds the same sequence when it starts again.
    """

    def __init__(self, source: Source, placements: list[Placement], world: World) -> None:
        self._source = source
        self._placements = placements
        self._world = world
        self.start_ms = source.start_ms
        self.name = f"{source.name}-controlled"

    def items(self) -> Iterator[Item]:
        """Every record in order of `due_ms`; at equal times the source's, then those of earlier controls."""
        added = [records_of(placement, self._world) for placement in self._placements]
        return merge(self._source.items(), *added, key=itemgetter(0))

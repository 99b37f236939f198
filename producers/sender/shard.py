"""One share of a source: all records of some of its keys, with ordinals of their own."""

import re
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from fraudsim.errors import FraudsimError
from producers.sources.source import Item, Source

_MARK: Final = re.compile(r"#\d+/(\d+)$")


class Shard:
    """The records of a source whose keys fall to one of several processes; a `Source`.

    A card's transactions, truths and labels have one key, so one shard sends them all, in order. Another
    hash than the one that partitions topics, so that each shard has a like share of every partition.
    """

    def __init__(self, source: Source, number: int, shards: int) -> None:
        self._source = source
        self._number = number
        self._shards = shards
        self.name = shard_name(source.name, number, shards)
        self.start_ms = source.start_ms

    def items(self) -> Iterator[Item]:
        """The source's records less what falls to others, in its order."""
        number, shards = self._number, self._shards
        return (item for item in self._source.items() if crc32(item.key.encode()) % shards == number)


def shard_name(source: str, number: int, shards: int) -> str:
    """What stands in the records of a shard as their source.

    >>> shard_name("world", 0, 2)
    'world#0/2'
    """
    return f"{source}#{number}/{shards}"


def split_name(name: str) -> tuple[str, int]:
    """A source's own name, and by how many shards it was sent.

    >>> split_name("world#0/2"), split_name("world")
    (('world', 2), ('world', 1))
    """
    found = _MARK.search(name)
    return (name[: found.start()], int(found[1])) if found else (name, 1)


def refuse_other_shards(there: bytes | None, source: bytes) -> None:
    """That a record's source does not forbid this one to go on.

    Raises:
        FraudsimError: it is the same source by another number of shards. Its ordinals mean other records.
    """
    if there is None or there == source or there.partition(b"#")[0] != source.partition(b"#")[0]:
        return
    (name, before), (own, shards) = split_name(there.decode(errors="replace")), split_name(source.decode())
    if name == own and before != shards:
        raise FraudsimError(
            f"--shards {shards}: this log holds records of {own} that were sent with --shards {before}: "
            f"go on with --shards {before}, or start a new log"
        )

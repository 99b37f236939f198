"""One shard of a source: all records of some of its keys, with ordinals of their own."""

import re
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from fraudsim.errors import FraudsimError
from producers.sources.source import Item, Source

_SHARD_SUFFIX: Final = re.compile(r"#[0-9]+/([0-9]{1,9})\Z")


class Shard:
    """The records of a source whose keys hash to one of several processes; a `Source`.

    A card's transactions, truths and labels have one key, so one shard sends them all, in order. The hash
    is not the one that partitions topics, so that each shard has a like share of every partition.
    """

    def __init__(self, source: Source, number: int, shards: int) -> None:
        self._source = source
        self._number = number
        self._shards = shards
        self.name = shard_name(source.name, number, shards)
        self.start_ms = source.start_ms

    def items(self) -> Iterator[Item]:
        """The records of this shard, in the source's order."""
        number, shards = self._number, self._shards
        return (item for item in self._source.items() if crc32(item.key.encode()) % shards == number)


def shard_name(source: str, number: int, shards: int) -> str:
    """The source header of a shard's records.

    >>> shard_name("world", 0, 2)
    'world#0/2'
    """
    return f"{source}#{number}/{shards}"


def split_name(name: str) -> tuple[str, int]:
    """A source's own name, and the number of shards that sent it.

    >>> split_name("world#0/2"), split_name("world")
    (('world', 2), ('world', 1))
    """
    suffix = _SHARD_SUFFIX.search(name)
    return (name[: suffix.start()], int(suffix[1])) if suffix else (name, 1)


def check_shard_count(logged_source: bytes | None, source: bytes) -> None:
    """Check that a record in the log was not sent by another number of shards of the same source.

    Args:
        logged_source: the record's source header.
        source: name of the source, or of its shard, that is about to be sent.

    Raises:
        FraudsimError: another number of shards sent it, so its ordinals mean other records.
    """
    if (
        logged_source is None
        or logged_source == source
        or logged_source.partition(b"#")[0] != source.partition(b"#")[0]
    ):
        return
    logged_name, logged_shards = split_name(logged_source.decode(errors="replace"))
    name, shards = split_name(source.decode())
    if logged_name == name and logged_shards != shards:
        raise FraudsimError(
            f"--shards {shards}: this log holds records of {name} that were sent with --shards "
            f"{logged_shards}: go on with --shards {logged_shards}, or start a new log"
        )

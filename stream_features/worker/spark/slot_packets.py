"""Rows on their way from the task that accepted their record to the task that folds their slot. Pure."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fraudsim.log.acceptance import Rejected
from fraudsim.log.events import Label, Transaction
from fraudsim.log.partitioning import slot_of
from stream_features.catalogue.features import KEY_FIELD, LABELLED, WINDOWED
from stream_features.encode import label_row, rows_of
from stream_features.kernels.state import KERNELS, NO_LABELS
from stream_features.vector import key_values

ENTITIES: Final = tuple(WINDOWED)
_NUMBER: Final = {entity: number for number, entity in enumerate(ENTITIES)}
_ROW_WORDS: Final = tuple(KERNELS[entity].width for entity in ENTITIES)
_LABEL_WORDS: Final = NO_LABELS.shape[1]


class SourceCounts(msgspec.Struct, array_like=True):
    """What a batch holds of one source, beyond what its home slot has folded."""

    accepted: int = 0
    duplicates: int = 0
    dead_letters: dict[str, int] = {}
    """By field."""


class SlotPacket(msgspec.Struct, array_like=True, frozen=True):
    """The rows of one source for one slot, in log order, in columns."""

    source: int
    is_label: bool
    offsets: bytes
    """int64, as `words`."""
    entities: bytes
    """A byte each: the index in `ENTITIES`."""
    keys: list[str]
    words: bytes
    counts: SourceCounts | None
    """For the source's home slot."""

    def rows(self) -> Iterator[tuple[int, str, str, list[int]]]:
        """(offset, entity, key, row), in log order."""
        offsets, words = array("q", self.offsets), array("q", self.words)
        position = 0
        for offset, number, key in zip(offsets, self.entities, self.keys, strict=True):
            end = position + (_LABEL_WORDS if self.is_label else _ROW_WORDS[number])
            yield offset, ENTITIES[number], key, words[position:end]  # type: ignore[misc]
            position = end


encode_packet: Final = msgspec.msgpack.Encoder().encode
decode_packet: Final = msgspec.msgpack.Decoder(SlotPacket).decode


@dataclass
class _Columns:
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    entities: bytearray = field(default_factory=bytearray)
    keys: list[str] = field(default_factory=list)
    words: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, offset: int, number: int, key: str, row: tuple[int, ...]) -> None:
        self.offsets.append(offset)
        self.entities.append(number)
        self.keys.append(key)
        self.words.extend(row)


class SlotRouter:
    """Sorts the accepted events of one source by the slots of their keys."""

    def __init__(self, source: int, partitions: int, slots: int, home_offset: int) -> None:
        """`home_offset` is the last that the source's home slot has folded: counts begin after it."""
        self._source = source
        self._is_label = source >= partitions
        self._home = source % partitions % slots
        self._home_offset = home_offset
        self._columns = [_Columns() for _ in range(slots)]
        self._accepted = 0
        self._duplicates = 0
        self._dead_letters: Counter[str] = Counter()

    def add(self, offset: int, event: Transaction | Label | Rejected) -> bool:
        """Take a record's event, in log order. Returns whether a dead letter of it has to be written."""
        is_new = offset > self._home_offset
        if isinstance(event, Rejected):
            if event.kind == "duplicate":
                self._duplicates += is_new
                return False
            self._dead_letters[event.field if event.field.isidentifier() else "value"] += is_new
            return is_new
        self._accepted += is_new
        if isinstance(event, Label):
            self._add_label(offset, event)
        else:
            self._add_transaction(offset, event)
        return False

    def _add_transaction(self, offset: int, tx: Transaction) -> None:
        columns, slots = self._columns, len(self._columns)
        rows = zip(ENTITIES, key_values(tx), rows_of(tx), strict=True)
        for number, (entity, key, row) in enumerate(rows):
            if key is not None:
                columns[slot_of(entity, key, slots)].add(offset, number, key, row)

    def _add_label(self, offset: int, label: Label) -> None:
        for entity in LABELLED:
            key = getattr(label, KEY_FIELD[entity])
            if key is not None:
                slot = slot_of(entity, key, len(self._columns))
                self._columns[slot].add(offset, _NUMBER[entity], key, label_row(label))

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """(slot, encoded packet) of the slots that have rows, and of the home slot."""
        counts = SourceCounts(self._accepted, self._duplicates, dict(+self._dead_letters))
        for slot, columns in enumerate(self._columns):
            is_home = slot == self._home
            if columns.keys or is_home:
                packet = SlotPacket(
                    self._source,
                    self._is_label,
                    columns.offsets.tobytes(),
                    bytes(columns.entities),
                    columns.keys,
                    columns.words.tobytes(),
                    counts if is_home else None,
                )
                yield slot, encode_packet(packet)

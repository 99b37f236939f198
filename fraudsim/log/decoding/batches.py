"""Fetched bytes as batches of records: compressed ones unpacked within bounds, and none that ends its reader.

aiokafka unpacks a compressed batch whole, whatever becomes of it, and stops at a header's name that is not
UTF-8, which the broker does not check. Here a compressed batch is unpacked before aiokafka sees it, to at
most `UNPACK_LIMIT`. The first of its records that is not whole then, and all after it, become one record with
the header `OVERSIZED`. Where a header cannot be decoded, the bytes are decoded once more, leniently: offset,
time, key and value are kept as they are, and all headers as one named `UNREADABLE_HEADERS`. What aiokafka can
decode takes its fast path unchanged.
"""

from typing import Any

from aiokafka.record import default_records, memory_records
from aiokafka.record.util import calc_crc32c, decode_varint

from fraudsim.log.decoding.markers import OVERSIZED, UNREADABLE_HEADERS
from fraudsim.log.decoding.unpacking import Unpacked, unpack

_LENGTH = slice(8, 12)
_AFTER_LENGTH = 12
_MAGIC = 16
_CRC = slice(17, 21)
_AFTER_CRC = 21
_ATTRIBUTES = 22
"""Their lower byte, which names the codec."""
_CODEC_MASK = 0x07
_RECORDS = 61
"""Where a batch's header ends."""


def fetched_records(fetched: bytes) -> Any:
    """The batches of fetched bytes; the bytes are retained as `fetched`."""
    return UnpackedRecords(fetched) if _has_packed(fetched) else RetainedRecords(fetched)


def _has_packed(fetched: bytes) -> bool:
    position, length = 0, 0
    while position + _RECORDS <= len(fetched) and length >= 0:
        if _codec_of(fetched, position):
            return True
        length = int.from_bytes(fetched[position + 8 : position + 12], "big", signed=True)
        position += _AFTER_LENGTH + length
    return False


def _codec_of(data: bytes | memoryview, position: int = 0) -> int:
    """The codec of the batch at a position; 0 for none, and for batches of the formats before Kafka 0.11."""
    return data[position + _ATTRIBUTES] & _CODEC_MASK if data[position + _MAGIC] >= 2 else 0


class RetainedRecords(memory_records.MemoryRecords):
    """Fetched bytes decoded by aiokafka; the bytes are retained in case that fails."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


class UnpackedRecords(memory_records._MemoryRecordsPy):
    """Fetched bytes with a compressed batch; each such batch is unpacked as it is reached."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        if data is None or batch is None or not _codec_of(data) or not batch.validate_crc():
            return batch
        unpacked = unpack(_codec_of(data), data[_RECORDS:])
        if unpacked.missing:
            return CutBatch(data, unpacked)
        return memory_records.DefaultRecordBatch(_without_codec(data, unpacked))


class LenientRecords(memory_records._MemoryRecordsPy):
    """Fetched bytes decoded leniently, without the batches that end before an offset.

    Those were read before; with them, aiokafka would go back to the end of the last of them.
    """

    def __init__(self, fetched: bytes, from_offset: int) -> None:
        super().__init__(fetched)
        self._from_offset = from_offset

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        while batch is not None and batch.next_offset <= self._from_offset and self.has_next():
            data = self._next_slice
            batch = super().next_batch()
        if data is None or not isinstance(batch, default_records.DefaultRecordBatch):
            return batch
        if not _codec_of(data):
            return LenientBatch(data)
        unpacked = unpack(_codec_of(data), data[_RECORDS:])
        return CutBatch(data, unpacked) if unpacked.missing else LenientBatch(_without_codec(data, unpacked))


def _without_codec(data: memoryview, unpacked: Unpacked) -> bytes:
    """A compressed batch as it would be without compression."""
    batch = bytearray(data[:_RECORDS])
    batch += unpacked.data
    batch[_LENGTH] = (len(batch) - _AFTER_LENGTH).to_bytes(4, "big")
    batch[_ATTRIBUTES] &= ~_CODEC_MASK
    batch[_CRC] = calc_crc32c(bytes(batch[_AFTER_CRC:])).to_bytes(4, "big")
    return bytes(batch)


class LenientBatch(default_records._DefaultRecordBatchPy):
    """A batch in which records whose headers cannot be decoded are kept."""

    _pos: int

    def _read_msg(self) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            return self._without_headers()

    def _without_headers(self) -> Any:
        # Length, attributes (one byte), time and offset relative to the batch's, key, value, headers.
        length, start = decode_varint(self._buffer, self._pos)
        time_delta, position = decode_varint(self._buffer, start + 1)
        offset_delta, position = decode_varint(self._buffer, position)
        key, position = self._read_bytes(position)
        value, position = self._read_bytes(position)
        self._pos = start + length
        headers = bytes(self._buffer[position : start + length])
        stamped_by_broker = self.timestamp_type == self.LOG_APPEND_TIME
        return default_records._DefaultRecordPy(
            self.base_offset + offset_delta,
            self.max_timestamp if stamped_by_broker else self.first_timestamp + time_delta,
            self.timestamp_type,
            key,
            value,
            [(UNREADABLE_HEADERS, headers)],
        )

    def _read_bytes(self, position: int) -> tuple[bytes | None, int]:
        """The bytes whose length is at `position` (None if it is negative), and the position of their end."""
        length, start = decode_varint(self._buffer, position)
        return (None, start) if length < 0 else (bytes(self._buffer[start : start + length]), start + length)


class CutBatch(LenientBatch):
    """A batch of which only the beginning was unpacked. Its last record stands for all that is not there."""

    def __init__(self, data: memoryview, unpacked: Unpacked) -> None:
        super().__init__(bytes(data[:_RECORDS]))
        self._buffer = bytearray(unpacked.data)
        self._pos = 0
        self._decompressed = True
        self._missing = unpacked.missing
        self._following = self.base_offset
        """Offset of the next record."""
        self._is_over = False

    def validate_crc(self) -> bool:
        return True  # checked before the batch was unpacked

    def __next__(self) -> Any:
        if self._is_over or self._following >= self.next_offset:
            raise StopIteration
        if self._next_is_whole():
            record = self._read_msg()
            self._following = record.offset + 1
            return record
        self._is_over = True
        last = self.next_offset - 1
        text = f"the records at offsets {self._following} to {last}, of one compressed batch, {self._missing}"
        return default_records._DefaultRecordPy(
            self._following,
            self.max_timestamp,
            self.timestamp_type,
            None,
            None,
            [(OVERSIZED, text.encode())],
        )

    def _next_is_whole(self) -> bool:
        try:
            length, start = decode_varint(self._buffer, self._pos)
        except (IndexError, ValueError):
            return False
        return 0 <= length <= len(self._buffer) - start

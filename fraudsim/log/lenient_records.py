"""Kafka records whose headers cannot be decoded, read without losing them or the records after them.

A header's name should be UTF-8, but the broker does not check it, and aiokafka stops at such a record. Where
its decoding fails, the fetched bytes are decoded once more by the classes here. They keep the record: offset,
time, key and value as they are, and all its headers as one named `UNREADABLE_HEADERS`. Records that aiokafka
can decode take its fast path unchanged.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records, memory_records
from aiokafka.record.util import decode_varint

from fraudsim.log.headers import UNREADABLE_HEADERS


def read_past_unreadable_headers() -> None:
    """Make every aiokafka consumer of this process keep such records.

    Call it before a consumer is started; further calls change nothing.
    """
    fetcher.MemoryRecords = _RetainedRecords
    fetcher.PartitionRecords = _PartitionRecords


class _RetainedRecords(memory_records.MemoryRecords):
    """Fetched bytes decoded by aiokafka; the bytes are retained in case that fails."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


class _PartitionRecords(fetcher.PartitionRecords):
    """Records of one fetch; where decoding fails, the rest is decoded leniently."""

    _records: Any
    _aborted_transactions: list[Any]
    _aborted_producers: set[int]

    def _unpack_records(self) -> Iterator[Any]:
        aborted = list(self._aborted_transactions)
        try:
            yield from super()._unpack_records()
        except (UnicodeDecodeError, CorruptRecordException):  # the latter: aiokafka's Python decoder
            self._records = _LenientRecords(self._records.fetched, self.next_fetch_offset)
            self._aborted_transactions, self._aborted_producers = aborted, set()
            yield from super()._unpack_records()  # from `next_fetch_offset` on


class _LenientRecords(memory_records._MemoryRecordsPy):
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
        return _LenientBatch(data) if isinstance(batch, default_records.DefaultRecordBatch) else batch


class _LenientBatch(default_records._DefaultRecordBatchPy):
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

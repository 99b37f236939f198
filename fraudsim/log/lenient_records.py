"""Reading Kafka records whose headers cannot be read. aiokafka gives up on such a record, and with it on all
that come after.

A name in a header should be UTF-8, but the broker does not look. Where decoding fails, the fetched stretch is
decoded once more by classes that keep such a record: its place, time, key and value as they are, and its
headers as one named `UNREADABLE_HEADERS`. Whatever can be read takes aiokafka's fast path, untouched.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records, memory_records
from aiokafka.record.util import decode_varint

from fraudsim.log.acceptance import UNREADABLE_HEADERS


def read_past_unreadable_headers() -> None:
    """Let every aiokafka consumer of this process do so. To be called before one is started, by each who
    starts one; again is nothing."""
    fetcher.MemoryRecords = _KeptRecords
    fetcher.PartitionRecords = _PartitionRecords


class _KeptRecords(memory_records.MemoryRecords):
    """Fetched bytes, decoded by aiokafka, kept in case that fails."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


class _PartitionRecords(fetcher.PartitionRecords):
    """Records of one fetch: where decoding fails, the rest is decoded leniently."""

    _records: Any
    _aborted_transactions: list[Any]
    _aborted_producers: set[int]

    def _unpack_records(self) -> Iterator[Any]:
        aborted = list(self._aborted_transactions)
        try:
            yield from super()._unpack_records()
        except (UnicodeDecodeError, CorruptRecordException):  # the latter from aiokafka's decoder in Python
            self._records = _LenientRecords(self._records.fetched, self.next_fetch_offset)
            self._aborted_transactions, self._aborted_producers = aborted, set()
            yield from super()._unpack_records()  # from `next_fetch_offset` on


class _LenientRecords(memory_records._MemoryRecordsPy):
    """Fetched bytes, decoded as far as they can be, but for the batches that end before an offset.

    Those were read before, and aiokafka would go back to where the last of them ends.
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
        # length, attributes (one byte), time and offset as differences to the batch's, key, value, headers
        length, start = decode_varint(self._buffer, self._pos)
        time_delta, at = decode_varint(self._buffer, start + 1)
        offset_delta, at = decode_varint(self._buffer, at)
        key, at = self._bytes(at)
        value, at = self._bytes(at)
        self._pos = start + length
        headers = bytes(self._buffer[at : start + length])
        self._pos = start + length
        by_broker = self.timestamp_type == self.LOG_APPEND_TIME
        return default_records._DefaultRecordPy(
            self.base_offset + offset_delta,
            self.max_timestamp if by_broker else self.first_timestamp + time_delta,
            self.timestamp_type,
            key,
            value,
            [(UNREADABLE_HEADERS, headers)],
        )

    def _bytes(self, at: int) -> tuple[bytes | None, int]:
        """A length and as many bytes (none at all if it is negative), and where they end."""
        length, at = decode_varint(self._buffer, at)
        return (None, at) if length < 0 else (bytes(self._buffer[at : at + length]), at + length)

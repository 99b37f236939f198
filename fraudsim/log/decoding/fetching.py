"""aiokafka's fetcher, with batches decoded here and polls bounded in bytes.

A fetch is bounded in bytes as the broker holds them. Where batches are compressed, a poll takes no more of a
partition than `POLL_BYTES`, and no record larger than one that is not compressed can be.
"""

from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import ConsumerRecord

from fraudsim.log.decoding.batches import LenientRecords, UnpackedRecords, fetched_records
from fraudsim.log.decoding.markers import OVERSIZED

POLL_BYTES: Final = 2 * 1024 * 1024
"""Bytes of one partition's records, unpacked, after which a poll takes no further one."""
RECORD_LIMIT: Final = 1024 * 1024
"""Largest record of a compressed batch; without compression, `max.message.bytes` is the limit."""
_RECORD_OVERHEAD: Final = 512
"""What a record takes in memory beside its bytes, roughly."""


def decode_within_bounds() -> None:
    """Make every aiokafka consumer of this process decode so.

    Call it before a consumer is started; further calls change nothing.
    """
    fetcher.MemoryRecords = fetched_records
    fetcher.PartitionRecords = DecodedRecords
    fetcher.FetchResult = BoundedFetch


def bytes_of(record: Any) -> int:
    """About how much memory a record takes."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return _RECORD_OVERHEAD + len(record.key or b"") + len(record.value or b"") + headers


class DecodedRecords(fetcher.PartitionRecords):
    """Records of one fetch; where decoding fails, the rest is decoded leniently."""

    _records: Any
    _aborted_transactions: list[Any]
    _aborted_producers: set[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.were_packed = isinstance(self._records, UnpackedRecords)

    def _unpack_records(self) -> Iterator[Any]:
        aborted = list(self._aborted_transactions)
        try:
            yield from super()._unpack_records()
        except (UnicodeDecodeError, CorruptRecordException):  # the latter: aiokafka's Python decoder
            self._records = LenientRecords(self._records.fetched, self.next_fetch_offset)
            self._aborted_transactions, self._aborted_producers = aborted, set()
            yield from super()._unpack_records()  # from `next_fetch_offset` on


class BoundedFetch(fetcher.FetchResult):
    """What one fetch brought of a partition; compressed batches are polled in bounded pieces."""

    _partition_records: DecodedRecords | None

    def getall(self, max_records: int | None = None) -> list[Any]:
        records: DecodedRecords | None = self._partition_records
        if records is None or not records.were_packed:
            return super().getall(max_records)
        if not self.check_assignment(self._topic_partition):
            return []
        polled: list[Any] = []
        left = POLL_BYTES
        for record in records:
            size = bytes_of(record)
            polled.append(record if size <= RECORD_LIMIT else _oversized(record, size))
            left -= min(size, RECORD_LIMIT)
            if left <= 0 or len(polled) == max_records:
                self._update_position()
                return polled
        self._update_position()
        self._partition_records = None
        return polled


def _oversized(record: Any, size: int) -> ConsumerRecord[Any, Any]:
    text = f"the record of {size} bytes, of a compressed batch, is over the limit of {RECORD_LIMIT}"
    headers = ((OVERSIZED, text.encode()),)
    identity = (record.topic, record.partition, record.offset, record.timestamp, record.timestamp_type)
    return ConsumerRecord(*identity, None, None, record.checksum, -1, -1, headers)

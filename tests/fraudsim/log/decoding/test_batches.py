"""Records whose headers cannot be decoded, among others in one fetch: they are kept, and no other is lost."""

import os
import subprocess
import sys
from itertools import pairwise

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatch
from kafka.record.default_records import DefaultRecordBatchBuilder

from fraudsim.log.decoding.batches import LenientBatch, fetched_records
from fraudsim.log.decoding.fetching import DecodedRecords
from fraudsim.log.headers import UNREADABLE_HEADERS

TP = TopicPartition("t", 0)
T0 = 1_700_000_000_000


class RawName(str):
    """A header's name that goes out as bytes which are not UTF-8."""

    __slots__ = ()

    def encode(self, *_args, **_kwargs):
        return b"\xff\xfe"


def batch_of(bad, count=6, compression=0, first=0, log_append_ms=None):
    """One record batch as the broker sends it; the headers of records `bad` cannot be read."""
    builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1 << 20)
    for n in range(count):
        headers = [("a", b"1"), (RawName("x"), b"2"), ("b", b"3")] if n in bad else [("a", b"1")]
        value = None if n == 4 else f"v{n}".encode()
        builder.append(n, T0 + n, f"k{n}".encode(), value, headers)
    data = bytearray(builder.build())
    data[:8] = first.to_bytes(8, "big")
    if log_append_ms is not None:  # what a broker does to a topic of LogAppendTime
        data[22] |= 0x08
        data[35:43] = log_append_ms.to_bytes(8, "big")
        data[17:21] = crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


def read(data, fetch_offset=0):
    return list(DecodedRecords(TP, fetched_records(data), None, fetch_offset, None, None, True, 0))


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("bad", [set(), {0}, {3}, {5}, {1, 2, 4}, set(range(6))])
def test_every_record_is_read_once_with_its_offset_time_key_and_value(bad, compression):
    records = read(batch_of(bad, compression=compression) + batch_of({0}, count=2, first=6))
    assert [r.offset for r in records] == list(range(8))
    for n, record in enumerate(records[:6]):
        assert (record.timestamp, record.key) == (T0 + n, f"k{n}".encode())
        assert record.value == (None if n == 4 else f"v{n}".encode())
        ((name, value),) = record.headers
        assert name == (UNREADABLE_HEADERS if n in bad else "a")
        assert (b"\xff\xfe" in value) == (n in bad)


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("bad", [{0}, {2}, {5}, {1, 4}])
def test_batches_before_the_one_that_fails_are_not_read_again(bad, compression):
    clean = [batch_of(set(), compression=compression, first=first) for first in (0, 6)]
    records = read(b"".join(clean) + batch_of(bad, first=12) + batch_of(bad, first=18))
    assert [r.offset for r in records] == list(range(24))


def test_the_time_is_the_brokers_where_it_stamps():
    records = read(batch_of({1, 3}, log_append_ms=T0 + 5_000))
    assert [r.timestamp for r in records] == [T0 + 5_000] * 6
    assert {r.timestamp_type for r in records} == {1}


@pytest.mark.parametrize("fetch_offset", range(6))
def test_reading_may_begin_anywhere(fetch_offset):
    assert [r.offset for r in read(batch_of({2, 3}), fetch_offset)] == list(range(fetch_offset, 6))


def test_what_can_be_read_is_decoded_by_aiokafka_alone(monkeypatch):
    monkeypatch.delattr(LenientBatch, "_read_msg")
    monkeypatch.setattr(LenientBatch, "__init__", None)
    assert len(read(batch_of(set()))) == 6


def test_aiokafka_alone_gives_up():
    with pytest.raises(UnicodeDecodeError):
        list(DefaultRecordBatch(batch_of({3})))


def test_aiokafkas_decoder_in_python_is_helped_as_well():
    test_id = f"{__file__}::test_every_record_is_read_once_with_its_offset_time_key_and_value"
    env = {**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    argv = [sys.executable, "-m", "pytest", test_id]
    finished = subprocess.run(argv, check=False, env=env, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stdout


def test_a_corrupt_batch_is_an_error_still():
    data = bytearray(batch_of({3}))
    data[-1] ^= 0xFF
    with pytest.raises(fetcher.Errors.CorruptRecordException):
        read(bytes(data))


def test_positions_go_up():
    records = DecodedRecords(TP, fetched_records(batch_of({0, 2})), None, 0, None, None, True, 0)
    positions = [records.next_fetch_offset for _ in records]
    assert all(after == before + 1 for before, after in pairwise(positions))
    assert positions[-1] == 6

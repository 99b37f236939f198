"""Compressed batches that unpack to more than a reader should hold: cut, said, never unpacked further."""

import random
import subprocess
import sys
from pathlib import Path

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatchBuilder

from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.decoding import unpacking
from fraudsim.log.decoding.batches import fetched_records
from fraudsim.log.decoding.fetching import POLL_BYTES, RECORD_LIMIT, BoundedFetch, DecodedRecords, bytes_of
from fraudsim.log.decoding.unpacking import GZIP, LZ4, SNAPPY, UNPACK_LIMIT, ZSTD, unpack
from fraudsim.log.headers import OVERSIZED

CODECS = {
    0: [bytes],
    GZIP: [gzip_encode],
    SNAPPY: [snappy_encode, lambda data: snappy_encode(data, xerial_compatible=False)],
    LZ4: [lz4_encode],
    ZSTD: [zstd_encode],
}
WAYS = [(codec, encode) for codec, encoders in CODECS.items() for encode in encoders if codec]
TP = TopicPartition("t", 0)
ROOT = Path(__file__).parents[4]
VALUE_BYTES = 64 * 1024 * 1024


@pytest.mark.parametrize(("codec", "encode"), WAYS)
@given(data=st.binary(max_size=5_000), times=st.integers(1, 60), limit=st.integers(0, 300_000))
def test_a_codec_makes_what_it_was_made_from_or_its_beginning(codec, encode, data, times, limit):
    whole = data * times
    unpacked = unpack(codec, encode(whole), limit)
    if unpacked.missing:
        assert len(whole) > limit >= len(unpacked.data)
        assert bytes(unpacked.data) == whole[: len(unpacked.data)]
        assert unpacked.missing == f"unpack to more than {limit} bytes"
    else:
        assert len(whole) <= limit
        assert bytes(unpacked.data) == whole


@pytest.mark.parametrize("codec", [*CODECS, 5])
def test_bytes_that_no_codec_can_read_are_missing(codec):
    noise = random.Random(4).randbytes(3_000)
    unpacked = unpack(codec, noise)
    assert (bytes(unpacked.data), "cannot be unpacked" in unpacked.missing) == (b"", True)


def batch_of(codec, values, first=0, encode=None):
    """A compressed batch as the broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 40)
    for n, value in enumerate(values):
        builder.append(n, 1_700_000_000_000, f"k{n}".encode(), value, [("a", b"1")])
    plain = bytes(builder.build())
    batch = bytearray(plain[:61]) + (encode or CODECS[codec][0])(plain[61:])
    batch[:8] = first.to_bytes(8, "big")
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[22] |= codec
    batch[17:21] = calc_crc32c(bytes(batch[21:])).to_bytes(4, "big")
    return bytes(batch)


def records_of(data, fetch_offset=0):
    return DecodedRecords(TP, fetched_records(data), None, fetch_offset, None, None, True, 0)


@pytest.mark.parametrize(("codec", "encode"), WAYS)
def test_ordinary_batches_are_read_whole(codec, encode):
    values = [f"value {n}".encode() for n in range(500)]
    data = batch_of(codec, values, encode=encode) + batch_of(0, [b"plain"], first=500)
    records = list(records_of(data))
    assert [record.value for record in records] == [*values, b"plain"]
    assert [record.offset for record in records] == list(range(501))


def test_no_batch_is_unpacked_by_aiokafka(monkeypatch):
    """Its decoder would unpack it whole."""
    from aiokafka.record import default_records

    monkeypatch.setattr(default_records, "zstd_decode", None)
    monkeypatch.setattr(cramjam.zstd, "decompress", None)
    assert len(list(records_of(batch_of(ZSTD, [b"v"] * 5)))) == 5


@pytest.fixture
def low_limit(monkeypatch):
    monkeypatch.setattr(unpacking.unpack, "__defaults__", (10_000,))


@pytest.mark.usefixtures("low_limit")
@pytest.mark.parametrize(("codec", "encode"), WAYS[:1] + WAYS[3:])
@pytest.mark.parametrize("fetch_offset", [0, 2, 3, 4, 6])
def test_the_records_before_the_limit_are_read_and_one_stands_for_the_rest(codec, encode, fetch_offset):
    values = [b"a", b"b" * 100, b"c" * 9_000, bytes(1_000_000), b"valid", b"too"]
    data = batch_of(codec, values, encode=encode) + batch_of(codec, [b"after"], first=6)
    records = records_of(data, fetch_offset)
    read = list(records)
    whole = [(n, value) for n, value in enumerate(values[:3]) if n >= fetch_offset]
    assert [(r.offset, r.value) for r in read[: len(whole)]] == whole
    cut, after = read[len(whole) : -1], read[-1]
    assert (after.offset, after.value, records.next_fetch_offset) == (6, b"after", 7)
    assert [r.offset for r in cut] == ([3] if fetch_offset <= 3 else [])
    for record in cut:
        ((name, text),) = record.headers
        assert (record.key, record.value, name) == (None, None, OVERSIZED)
        assert text.decode() == (
            "the records at offsets 3 to 5, of one compressed batch, unpack to more than 10000 bytes"
        )
        assert read_event(record.value, bytes, record.headers) == Rejected("invalid", "value", text.decode())


def test_a_batch_that_no_codec_can_read_is_one_record():
    data = batch_of(ZSTD, [b"1", b"2"], encode=lambda _: b"noise") + batch_of(0, [b"after"], first=2)
    first, after = records_of(data)
    assert (first.offset, first.value, after.offset) == (0, None, 2)
    assert b"offsets 0 to 1" in dict(first.headers)[OVERSIZED]


def fetch_of(data):
    """A fetch's result, and the polls that take it."""

    class State:
        paused, position = False, 0

        def consumed_to(self, position):
            self.position = position

    class Assignment:
        active = True
        state = State()

        def state_value(self, _tp):
            return self.state

    return BoundedFetch(TP, assignment=Assignment(), partition_records=records_of(data), backoff=0)


def test_a_poll_is_bounded_in_bytes():
    values = [bytes([n]) * 60_000 for n in range(200)]
    fetch = fetch_of(batch_of(ZSTD, values))
    polls = []
    while fetch.has_more():
        polls.append(fetch.getall())
    assert [record.value for poll in polls for record in poll] == values
    assert all(sum(map(bytes_of, poll[:-1])) < POLL_BYTES for poll in polls)
    assert len(polls) > 4


def test_a_poll_may_be_bounded_in_records_as_well():
    fetch = fetch_of(batch_of(ZSTD, [b"v"] * 10))
    assert [len(fetch.getall(4)) for _ in range(3)] == [4, 4, 2]


def test_a_record_larger_than_one_without_compression_may_be_is_left_out():
    small, large, after = fetch_of(batch_of(ZSTD, [b"s", bytes(2 * RECORD_LIMIT), b"a"])).getall()
    assert (small.value, after.value, large.value, large.offset) == (b"s", b"a", None, 1)
    assert f"is over the limit of {RECORD_LIMIT}" in dict(large.headers)[OVERSIZED].decode()


READ = f"""
import re, sys
sys.path.insert(0, {str(ROOT)!r})
from aiokafka.record.default_records import DefaultRecordBatch
from tests.fraudsim.log.decoding.test_unpacking import fetch_of

def peak():
    return 1024 * int(re.search("VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])

batches = open(sys.argv[1], "rb").read().split(b"--next--")
before = peak()
for batch in batches:
    if sys.argv[2] == "here":
        (record,) = fetch_of(batch).getall()
        assert record.value is None
    else:
        list(DefaultRecordBatch(batch))
print(peak() - before)
"""


@pytest.fixture(scope="module")
def small_bytes_of_a_large_value(tmp_path_factory):
    batches = [batch_of(codec, [bytes(VALUE_BYTES)]) for codec in (ZSTD, GZIP, LZ4)]
    assert max(map(len, batches)) < VALUE_BYTES / 200
    file = tmp_path_factory.mktemp("batches") / "batches"
    file.write_bytes(b"--next--".join(batches))
    return file


@pytest.mark.parametrize("decoder", ["here", "aiokafka"])
def test_what_unpacks_to_much_takes_no_more_than_the_limit(small_bytes_of_a_large_value, decoder):
    argv = [sys.executable, "-c", READ, small_bytes_of_a_large_value, decoder]
    finished = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    grown = int(finished.stdout)
    assert grown < 3 * UNPACK_LIMIT if decoder == "here" else grown > VALUE_BYTES

"""The archived log as replaying readers get it: in offset order in whatever files, and whole up to a hole."""

import random

import pytest

from fraudsim.archive.log_files import log_files, log_folder, write_file
from fraudsim.archive.records import Record, to_table
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Transaction, encoder
from fraudsim.log.topics import TRANSACTIONS
from stream_features.offline.archived_log import (
    ArchivedEnd,
    accepted_transactions,
    archived_clock,
    archived_ends,
    archived_records,
)
from stream_features.store.rebuild import fold_archive
from testing.samples.log import T0
from testing.samples.run import WALL, write_run


def archive(folder, *files):
    """Files of transactions, each a list of (partition, offset[, number of its id])."""
    write_run(folder, [], [])
    for number, positions in enumerate(files):
        records = [
            Record(partition, offset, WALL, b"c", [("segment", b"0")], encoder.encode(tx(*name)))
            for partition, offset, *name in sorted(positions)
        ]
        write_file(folder, TRANSACTIONS, number, to_table(TRANSACTIONS, records))
    return folder


def tx(name="x"):
    return Transaction(tx_id=f"t{name}", ts=T0, card_id=f"card{name}", merchant_id="m", amount_cents=100)


def read(folder):
    return [(meta.partition, meta.offset) for meta, _ in archived_records(folder, TRANSACTIONS, Transaction)]


@pytest.mark.parametrize("seed", range(8))
def test_records_come_in_offset_order_within_their_partition_however_they_were_archived(tmp_path, seed):
    rng = random.Random(seed)
    positions = [(partition, offset) for partition in range(3) for offset in range(40) if rng.random() < 0.9]
    files = [[] for _ in range(5)]
    for position in positions:
        files[min(4, position[1] // 10) if rng.random() < 0.7 else rng.randrange(5)].append(position)
    files[4] += rng.sample(files[0], 2)  # archived twice
    offsets = read(archive(tmp_path, *map(set, files)))
    assert sorted(offsets) == positions
    for partition in range(3):
        assert [p for p in offsets if p[0] == partition] == [p for p in positions if p[0] == partition]


def test_a_refill_counts_an_id_at_the_offset_at_which_the_line_counted_it(tmp_path):
    """The file that was lost and read again has a later number than the file after it."""
    folder = archive(tmp_path, [(0, 0, "a")], [(0, 2, "b"), (0, 3, "c")], [(0, 1, "b")])
    clock = archived_clock(folder)
    accepted = [meta.offset for meta, _ in accepted_transactions(folder, clock)]
    assert accepted == [0, 1, 3]


def test_a_hole_ends_what_is_whole_and_what_a_rebuild_folds(tmp_path):
    folder = archive(tmp_path, [(0, 0, "a"), (1, 0, "b")], [(0, 1, "c"), (1, 1, "d")], [(0, 2, "e")])
    log_files(folder, TRANSACTIONS)[1].rename(log_folder(folder) / "lost.corrupt")
    ends = archived_ends(folder, 2)
    assert ends == [
        ArchivedEnd(TRANSACTIONS, 0, 0, 2), ArchivedEnd(TRANSACTIONS, 1, 0, 0),
        ArchivedEnd("labels", 0, -1, -1), ArchivedEnd("labels", 1, -1, -1),
    ]  # fmt: skip
    assert [end.has_hole for end in ends] == [True, False, False, False]
    table = {}
    assert fold_archive(table, folder, ends) == 2
    assert {key for entity, key in table if entity == "card"} == {"carda", "cardb"}


def test_an_unreadable_file_and_too_many_partitions_are_named_in_one_line(tmp_path):
    folder = archive(tmp_path, [(0, 0, "a"), (2, 0, "b")])
    with pytest.raises(
        FraudsimError, match=r"has partition 2 of transactions, FRAUDSIM_PARTITIONS is 2: set"
    ):
        archived_ends(folder, 2)
    (path,) = log_files(folder, TRANSACTIONS)
    path.write_bytes(b"no Parquet")
    for ask in (lambda: archived_ends(folder, 3), lambda: read(folder)):
        with pytest.raises(
            FraudsimError, match=r"transactions-000000.parquet cannot be read.*: restore it, or"
        ) as e:
            ask()
        assert "\n" not in str(e.value)

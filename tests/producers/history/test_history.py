"""History on disk, its fingerprint, and the live stream that goes on from it."""

import json
import shutil
from collections import Counter
from ipaddress import IPv4Address
from itertools import islice, pairwise, takewhile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.log.events import (
    Label,
    Transaction,
    Truth,
    decode_label,
    decode_transaction,
    decode_truth,
    encoder,
)
from fraudsim.log.topics import LABELS, TRANSACTIONS, TRUTH
from producers.history import tables
from producers.history.fingerprint import fingerprint
from producers.history.reader import History, read_history, world_of
from producers.history.writer import write_history
from producers.labels.delays import LabelDelays
from producers.sources.source import Item, Source
from producers.sources.world_source import WorldSource
from producers.world.config import WorldConfig
from producers.world.world import World
from producers.world_cli import app

CONFIG = WorldConfig(cards=300, fraud_scale=10)
DAYS = 40


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    directory = tmp_path_factory.mktemp("history")
    write_history(directory, World(CONFIG), DAYS)
    return read_history(directory)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """The first three live days."""
    source = WorldSource(World(CONFIG), DAYS)
    end_ms = World(CONFIG).day_start_ms(DAYS + 3)
    return list(takewhile(lambda item: item.due_ms < end_ms, source.items()))


def test_without_labels_everything_else_is_the_same(items: list[Item]) -> None:
    bare = WorldSource(World(CONFIG), DAYS, labels=False)
    end_ms = World(CONFIG).day_start_ms(DAYS + 3)
    assert list(takewhile(lambda item: item.due_ms < end_ms, bare.items())) == [
        item for item in items if not isinstance(item.event, Label)
    ]
    assert bare.name == WorldSource(World(CONFIG), DAYS).name


def test_the_labels_of_a_history_spare_making_its_days_again(
    history: History, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, made = World(CONFIG), []
    day = world.day
    monkeypatch.setattr(world, "day", lambda number: made.append(number) or day(number))
    source = WorldSource(world, DAYS, labels_before=history.labels())
    end_ms = world.day_start_ms(DAYS + 3)
    assert list(takewhile(lambda item: item.due_ms < end_ms, source.items())) == items
    assert min(made) == DAYS


def test_without_the_honest_everything_else_is_the_same(items: list[Item]) -> None:
    source = WorldSource(World(CONFIG), DAYS, honest=False)
    end_ms = World(CONFIG).day_start_ms(DAYS + 3)
    frauds = {item.event.tx_id for item in items if isinstance(item.event, Truth) and item.event.is_fraud}
    assert list(takewhile(lambda item: item.due_ms < end_ms, source.items())) == [
        item for item in items if isinstance(item.event, Label) or item.event.tx_id in frauds
    ]
    assert frauds


def test_files_have_the_fields_of_the_events(history: History) -> None:
    assert history.transactions().schema.equals(tables.TRANSACTIONS)
    assert history.labels().schema.equals(tables.LABELS)
    assert history.truth().schema.equals(tables.TRUTH)
    own = {"schema_version", "sent_at"}
    assert set(tables.TRANSACTIONS.names) == set(Transaction.__struct_fields__) - own
    assert set(tables.LABELS.names) == set(Label.__struct_fields__) - own
    assert set(tables.TRUTH.names) == set(Truth.__struct_fields__) - own


def test_ids_are_numbers_in_the_files_and_the_schema_spells_them(history: History) -> None:
    stored = pq.read_table(history.transactions_path)
    spelling = {
        field.name: next(iter(field.metadata.values())).decode()
        for field in stored.schema
        if pa.types.is_unsigned_integer(field.type)
    }
    assert spelling == {
        "tx_id": "%016x",
        "card_id": "c%07d",
        "merchant_id": "m%06d",
        "device_id": "d%016x",
        "ip": "ipv4",
    }
    row = next(row for row in stored.slice(0, 5000).to_pylist() if row["ip"] and row["device_id"])
    read = history.transactions().slice(0, 5000).to_pylist()
    decoded = next(event for event in read if event["tx_id"] == f"{row['tx_id']:016x}")
    assert decoded["card_id"] == f"c{row['card_id']:07d}"
    assert decoded["merchant_id"] == f"m{row['merchant_id']:06d}"
    assert decoded["device_id"] == f"d{row['device_id']:016x}"
    assert decoded["ip"] == str(IPv4Address(row["ip"]))


def test_every_event_of_a_history_is_valid_on_the_wire(history: History) -> None:
    for row in history.transactions().slice(0, 5000).to_pylist():
        decode_transaction(encoder.encode(Transaction(**row)))
    for row in history.labels().to_pylist():
        decode_label(encoder.encode(Label(**row)))
    for row in history.truth().filter(history.truth()["is_fraud"]).to_pylist():
        decode_truth(encoder.encode(Truth(**row)))


def test_transactions_are_sorted_by_time_and_id(history: History) -> None:
    table = history.transactions(["ts", "tx_id"])
    keys = list(zip(table["ts"].to_pylist(), table["tx_id"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert len(set(table["tx_id"].to_pylist())) == len(keys)


def test_the_manifest_agrees_with_the_files(history: History) -> None:
    manifest, table = history.manifest, history.transactions()
    assert manifest.transactions == table.num_rows == history.truth().num_rows
    assert manifest.labels == history.labels().num_rows
    assert manifest.fraud_rate == pytest.approx(pc.mean(history.truth()["is_fraud"]).as_py())
    assert history.manifest.transactions_per_day == pytest.approx(table.num_rows / DAYS)
    assert manifest.end_ms - manifest.start_ms == DAYS * 86_400_000
    assert manifest.start_ms <= pc.min(table["ts"]).as_py()
    assert pc.max(table["ts"]).as_py() < manifest.end_ms
    assert manifest.source == "world"


def test_labels_not_yet_known_are_there_and_can_be_left_out(history: History) -> None:
    end_ms = history.manifest.end_ms
    all_labels, known_labels = history.labels(), history.labels(known_before_ms=end_ms)
    assert 0 < known_labels.num_rows < all_labels.num_rows
    assert pc.max(known_labels["known_at"]).as_py() < end_ms


def test_the_fingerprint_is_of_the_content(history: History, tmp_path: Path) -> None:
    again = write_history(tmp_path, World(CONFIG), DAYS)
    assert again.fingerprint == history.manifest.fingerprint
    files = {
        name: pq.read_table(tmp_path / f"{name}.parquet") for name in ("transactions", "labels", "truth")
    }
    assert fingerprint(**files) == history.manifest.fingerprint


@pytest.mark.parametrize("coded", [False, True])
def test_a_fingerprint_does_not_depend_on_chunks_but_on_every_value(coded: bool) -> None:
    columns = {
        "word": ["a", None, "bc", "", "a"],
        "number": [1.5, None, 0.0, -2.0, 1.0],
        "whole": pa.array([7, 2**64 - 1, None, 0, 0], pa.uint64()),
        "yes": [True, None, False, True, True],
    }

    def table(**changed: list[str | None]) -> pa.Table:
        made = pa.table({**columns, **changed})
        return made.set_column(0, "word", made["word"].dictionary_encode()) if coded else made

    whole = table()
    backwards = pa.array(["bc", "unused", "", "a"])
    for cut in range(1, 5):
        first, last = whole.slice(0, cut), whole.slice(cut)
        if coded:
            words = pa.array([{"bc": 0, "": 2, "a": 3, None: None}[w] for w in last["word"].to_pylist()])
            last = last.set_column(0, "word", pa.DictionaryArray.from_arrays(words.cast("int32"), backwards))
        assert fingerprint(t=pa.concat_tables([first, last])) == fingerprint(t=whole)
    others = [["a", "", "bc", "", "a"], ["ab", None, "c", "", "a"], ["a", None, "bd", "", "a"]]
    others += [["a", "bc", None, "", "a"], ["bc", None, "a", "", "bc"], ["a", None, "bc", "", ""]]
    changed = [table(word=words) for words in others]
    changed += [table(number=[1.5, 0.0, 0.0, -2.0, 1.0]), table(yes=[True, None, None, True, True])]
    assert len({fingerprint(t=one) for one in [whole, *changed]}) == len(changed) + 1


def test_a_text_behind_a_null_is_not_part_of_the_fingerprint() -> None:
    plain = pa.array(["a", None, "c"])
    mask = pa.array([True, False, True]).buffers()[1]
    _, offsets, data = pa.array(["a", "hidden", "c"]).buffers()
    hiding = pa.StringArray.from_buffers(3, offsets, data, mask)
    assert fingerprint(t=pa.table({"word": hiding})) == fingerprint(t=pa.table({"word": plain}))


def test_a_history_without_labels_is_written(tmp_path: Path) -> None:
    config = WorldConfig(cards=5, fraud_scale=0, delays=LabelDelays(false_disputes=0))
    assert write_history(tmp_path, World(config), 2).labels == 0
    assert read_history(tmp_path).labels().num_rows == 0


def test_row_groups_are_large_and_none_is_a_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.history.row_groups.ROWS_PER_GROUP", 2000)
    write_history(tmp_path, World(CONFIG), 10)
    file = pq.ParquetFile(tmp_path / "transactions.parquet").metadata
    rows = [file.row_group(group).num_rows for group in range(file.num_row_groups)]
    assert len(rows) > 2
    assert all(count >= 2000 for count in rows[:-1])


def test_no_unfinished_file_is_left(history: History) -> None:
    names = {path.name for path in history.directory.iterdir()}
    assert names == {"transactions.parquet", "labels.parquet", "truth.parquet", "manifest.json"}


def test_a_missing_or_broken_history_is_named(history: History, tmp_path: Path) -> None:
    with pytest.raises(FraudsimError, match=r"manifest\.json: not there; `fraudsim world generate"):
        read_history(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(FraudsimError, match=r"manifest\.json"):
        read_history(tmp_path)
    manifest = json.loads((history.directory / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "layout_version": 99}))
    with pytest.raises(FraudsimError, match="layout_version=99"):
        read_history(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FraudsimError, match=r"transactions\.parquet: not there"):
        read_history(tmp_path)
    (tmp_path / "transactions.parquet").write_text("no parquet")
    with pytest.raises(FraudsimError, match=r"transactions\.parquet: .*Parquet"):
        read_history(tmp_path)


def test_files_of_another_history_are_named(history: History, tmp_path: Path) -> None:
    def mixed(name: str, source: Path) -> str:
        shutil.copytree(history.directory, tmp_path / "mixed", dirs_exist_ok=True)
        shutil.copy(source, tmp_path / "mixed" / name)
        with pytest.raises(FraudsimError) as error:
            read_history(tmp_path / "mixed")
        return str(error.value)

    write_history(tmp_path / "other", World(CONFIG), DAYS - 1)
    rows = read_history(tmp_path / "other").manifest.transactions
    for name in ("transactions.parquet", "truth.parquet"):
        message = mixed(name, tmp_path / "other" / name)
        assert f"{name}: has {rows:,} rows, manifest.json says {history.manifest.transactions:,}" in message
    message = mixed("transactions.parquet", history.labels_path)
    assert "transactions.parquet: column device_id is missing" in message
    cut = tmp_path / "cut"
    cut.write_bytes(history.labels_path.read_bytes()[:3000])
    assert "labels.parquet: Parquet magic bytes not found" in mixed("labels.parquet", cut)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FraudsimError, match="file"):
        write_history(tmp_path / "file" / "below", World(CONFIG), 1)


def test_a_history_knows_its_world(history: History) -> None:
    assert world_of(history).config == CONFIG


def test_the_live_stream_is_in_due_order_and_repeats(items: list[Item]) -> None:
    assert all(one.due_ms <= other.due_ms for one, other in pairwise(items))
    source: Source = WorldSource(World(CONFIG), DAYS)
    assert list(islice(source.items(), 1500)) == items[:1500]
    assert items[0].due_ms >= source.start_ms


def test_the_live_stream_goes_on_where_the_history_ends(history: History, items: list[Item]) -> None:
    start = WorldSource(world_of(history), history.manifest.days).start_ms
    assert start == history.manifest.end_ms
    per_day = Counter(item.topic for item in items)[TRANSACTIONS] / 3
    assert per_day == pytest.approx(history.manifest.transactions_per_day, rel=0.25)


def test_live_labels_are_those_of_the_history_that_are_due_and_those_of_live_days(
    history: History, items: list[Item]
) -> None:
    end_ms = World(CONFIG).day_start_ms(DAYS + 3)
    known_at = history.labels()["known_at"].to_numpy()
    wanted = int(((known_at >= history.manifest.end_ms) & (known_at < end_ms)).sum())
    live = [item.event for item in items if item.topic == LABELS]
    assert all(
        isinstance(event, Label) and event.known_at == item.due_ms
        for event, item in zip(live, (i for i in items if i.topic == LABELS), strict=True)
    )
    old = sum(1 for event in live if isinstance(event, Label) and event.ts < history.manifest.end_ms)
    assert old == wanted > 0
    assert len(live) > old


def test_live_transactions_are_valid_and_frauds_are_followed_by_their_truth(items: list[Item]) -> None:
    seen: set[str] = set()
    truths: list[str] = []
    for item in items:
        if isinstance(item.event, Transaction):
            seen.add(item.event.tx_id)
            assert item.key == item.event.card_id
            assert item.due_ms == item.event.ts
            assert item.event.sent_at == 0
            decode_transaction(encoder.encode(item.event))
        elif isinstance(item.event, Truth):
            assert item.topic == TRUTH
            assert item.event.tx_id in seen
            assert item.event.is_fraud
            truths.append(item.event.tx_id)
    frauds = [i.event.tx_id for i in items if isinstance(i.event, Transaction) and i.campaign_id]
    assert truths == frauds
    assert len(truths) == len(set(truths)) > 0


def test_the_name_changes_with_whatever_changes_the_stream() -> None:
    names = {
        WorldSource(World(config), day).name
        for config in (CONFIG, WorldConfig(cards=301, fraud_scale=10))
        for day in (DAYS, DAYS + 1)
    }
    assert len(names) == 4


def test_lat_and_lon_are_where_the_card_was_present(history: History) -> None:
    table = history.transactions()
    channel = np.asarray(table["channel"].cast(pa.string()))
    assert (np.asarray(pc.is_valid(table["lat"])) == np.isin(channel, ["pos", "atm"])).all()


def test_the_command_line_generates_and_describes(tmp_path: Path) -> None:
    runner = CliRunner()
    arguments = ["generate", "--cards", "200", "--days", "3", "--seed", "3", "--out", str(tmp_path / "h")]
    made = runner.invoke(app, arguments)
    assert made.exit_code == 0, made.output
    described = runner.invoke(app, ["describe", str(tmp_path / "h")])
    assert described.exit_code == 0, described.output
    assert "hour (UTC)" in described.output
    assert f"{read_history(tmp_path / 'h').manifest.transactions:,}" in described.output

"""What holds for every dataset that can be replayed, whatever its layout."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog import get_logger
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label, Transaction, Truth, decode_transaction, encoder
from fraudsim.settings import Settings
from producers.datasets.registry import LAYOUTS, layout_of, read_dataset, replay_history, replay_source
from producers.history.reader import read_history
from producers.population.columns import DAY_MS
from producers.traffic.live_source import Stream, live_source
from producers.world_cli import app
from testing.samples.published_files import PER_DAY, PUBLISHED, ROWS, Published, published, write_handbook

NAMES = [layout.name for layout in LAYOUTS]
CSV = pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.layout)


def write(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    return write_handbook(folder / "book.parquet") if name == "handbook" else published(name).write(folder)


@pytest.mark.parametrize("name", NAMES)
def test_the_layout_is_known_by_its_header(tmp_path: Path, name: str) -> None:
    layout = layout_of(write(tmp_path, name))
    assert layout.name == name
    assert not layout.fits(["tx_id"])


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_valid_on_the_wire_and_frauds_have_one_truth(tmp_path: Path, name: str) -> None:
    events = [item.event for item in replay_source(write(tmp_path, name), 0).items()]
    transactions = [event for event in events if isinstance(event, Transaction)]
    truths = [event for event in events if isinstance(event, Truth)]
    assert len(transactions) == ROWS
    assert len({t.tx_id for t in truths} & {t.tx_id for t in transactions}) == len(truths) == ROWS / 10
    assert all(t.is_fraud and t.typology is not None for t in truths)
    assert any(isinstance(event, Label) and event.is_fraud for event in events)
    for event in transactions:
        assert decode_transaction(encoder.encode(event)) == event


@pytest.mark.parametrize("name", NAMES)
def test_the_command_writes_all_of_it_or_a_share_of_the_days(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    for share, rows in (("1", ROWS), ("0.5", ROWS // 2)):
        out = tmp_path / share
        done = CliRunner().invoke(app, ["replay", str(path), "--out", str(out), "--share", share])
        assert done.exit_code == 0, done.output
        assert f"layout {name}, 0 rows left out" in done.output
        history = read_history(out)
        assert history.manifest.transactions == history.transactions().num_rows == rows
        live = [i.event for i in replay_source(path, 0).items() if isinstance(i.event, Transaction)]
        assert history.transactions()["tx_id"].to_pylist() == [tx.tx_id for tx in live][:rows]


@pytest.mark.parametrize("name", NAMES)
def test_history_takes_two_thirds_of_the_days_and_the_stream_the_rest(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    manifest = replay_history(path, tmp_path / "h")
    assert manifest.source == name
    assert (manifest.days, manifest.transactions) == (4, 4 * PER_DAY)
    assert manifest.end_ms == manifest.start_ms + 4 * DAY_MS
    assert manifest.config["file"] == path.name
    assert manifest.config["dropped"] == {}
    history = read_history(tmp_path / "h")
    source = replay_source(path, manifest.end_ms)
    assert source.start_ms == manifest.end_ms
    live = [item for item in source.items() if isinstance(item.event, Transaction)]
    past = history.transactions()
    whole = read_dataset(path).tables.transactions["tx_id"].to_pylist()
    assert past["tx_id"].to_pylist() + [item.event.tx_id for item in live] == whole
    assert max(past["ts"].to_pylist()) < manifest.end_ms <= min(item.due_ms for item in live)
    assert source.seconds(speed=2.0) == (live[-1].due_ms + 1 - manifest.end_ms) / 2000
    due = [label["tx_id"] for label in history.labels().to_pylist() if label["known_at"] >= manifest.end_ms]
    labels = [item.event for item in source.items() if isinstance(item.event, Label)]
    assert sorted(due) == sorted(label.tx_id for label in labels if label.ts < manifest.end_ms)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_content_twice_is_the_same_stream_whatever_the_files_name(tmp_path: Path, name: str) -> None:
    once, again = write(tmp_path / "a", name), write(tmp_path / "b", name)
    again = again.rename(again.with_name("other" + again.suffix))
    first, second = replay_source(once, DAY_MS), replay_source(again, DAY_MS)
    assert read_dataset(once).fingerprint == read_dataset(again).fingerprint
    assert first.name == second.name
    assert first.name.startswith(f"{name}-")
    assert replay_source(once, DAY_MS + 1).name != first.name
    items = list(first.items())
    assert items == list(second.items()) == list(first.items())
    assert [item.due_ms for item in items] == sorted(item.due_ms for item in items)


@pytest.mark.parametrize("name", NAMES)
def test_the_producer_opens_it_where_the_logs_history_ends(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    end_ms = read_dataset(path).split_ms()
    clock = SimpleNamespace(first=SimpleNamespace(event_epoch_ms=end_ms))
    opened = live_source(Stream(replay=path, speed=1000.0), clock, Settings(_env_file=None), get_logger())
    source = replay_source(path, end_ms)
    assert opened.lasts_s == source.seconds(1000.0)
    assert opened.source.name == source.name


@CSV
def test_another_amount_is_another_content(tmp_path: Path, one: Published) -> None:
    before = read_dataset(one.write(tmp_path)).fingerprint
    changed = one.write(tmp_path, one.replaced(7, one.amount, one.money("1.23")))
    assert read_dataset(changed).fingerprint != before


@CSV
def test_rows_of_equal_time_keep_the_files_order_and_others_are_put_in_order(
    tmp_path: Path, one: Published
) -> None:
    lines = one.lines()
    late_first = [lines[0], lines[-1], *lines[1:-1]]
    ts = read_dataset(one.write(tmp_path, late_first)).tables.transactions["ts"].to_pylist()
    assert ts == read_dataset(one.write(tmp_path)).tables.transactions["ts"].to_pylist() == sorted(ts)


@CSV
def test_every_column_that_is_read_must_be_there(tmp_path: Path, one: Published) -> None:
    layout = next(layout for layout in LAYOUTS if layout.name == one.layout)
    for column in layout.columns:
        lines = one.lines()
        names = lines[0].split(",")
        names[names.index(column)] = "something"
        path = one.write(tmp_path, [",".join(names), *lines[1:]])
        with pytest.raises(
            FraudsimError, match=f"^{one.layout} .*{one.file}: column .* is missing$"
        ) as error:
            read_dataset(path)
        assert f"column {column} is missing" in str(error.value)


@CSV
def test_a_column_that_stands_twice_is_named(tmp_path: Path, one: Published) -> None:
    lines = [f"{line},{'0' if number else one.amount}" for number, line in enumerate(one.lines())]
    with pytest.raises(FraudsimError, match=f"column {one.amount} stands twice in the header"):
        read_dataset(one.write(tmp_path, lines))


@CSV
@pytest.mark.parametrize(
    ("column", "bad", "why"),
    [
        ("amount", "ten", "is not an amount"),
        ("amount", "nan", "is not an amount"),
        ("amount", "1,5", ""),
        ("fraud", "maybe", "is neither"),
        ("fraud", "", "is missing"),
        ("time", "", "is missing"),
    ],
)
def test_a_bad_value_is_named_by_line_and_column(
    tmp_path: Path, one: Published, column: str, bad: str, why: str
) -> None:
    name = {"amount": one.amount, "fraud": one.fraud, "time": one.time[0]}[column]
    if column == "amount":
        bad = one.money(bad)
    path = one.write(tmp_path, one.replaced(18, name, bad))
    with pytest.raises(FraudsimError) as error:
        read_dataset(path)
    said = str(error.value)
    assert said.startswith(f"{one.layout} {path}: line 18: ")
    assert "\n" not in said
    if why:
        assert f"{name}={bad!r} {why}".replace("?", "") in said.replace("?", "")
    else:
        assert "values where the header has" in said


@CSV
def test_a_time_that_is_none_is_named(tmp_path: Path, one: Published) -> None:
    name, bad = one.time
    with pytest.raises(FraudsimError, match=f"line 121: {name}='{bad}' is not "):
        read_dataset(one.write(tmp_path, one.replaced(121, name, bad)))


@CSV
def test_what_no_event_can_carry_is_dropped_and_counted(tmp_path: Path, one: Published) -> None:
    lines = one.lines()
    for line, value in ((3, "-99.00"), (4, "10000000.01"), (5, "10000000.00"), (6, "0.00"), (7, "-0.01")):
        lines[line - 1] = one.replaced(line, one.amount, one.money(value))[line - 1]
    path = one.write(tmp_path, lines)
    dataset = read_dataset(path)
    assert dataset.dropped == {f"{one.amount} below 0": 2, f"{one.amount} over 10000000": 1}
    assert dataset.tables.transactions.num_rows == dataset.tables.truth.num_rows == ROWS - 3
    assert dataset.tables.transactions["amount_cents"].to_pylist()[1:3] == [1_000_000_000, 0]
    assert replay_history(path, tmp_path / "h").config["dropped"] == dataset.dropped
    assert replay_source(path, DAY_MS).dropped == dataset.dropped


@CSV
def test_a_file_that_was_cut_off_is_named_with_its_last_line(tmp_path: Path, one: Published) -> None:
    path = one.write(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.rindex(one.lines()[-1]) + 5])
    with pytest.raises(FraudsimError, match=rf"{one.file}: line 121: .* \(a file that was cut off\?\)$"):
        read_dataset(path)


@CSV
def test_empty_lines_repeated_headers_and_bad_bytes_are_named_by_line(tmp_path: Path, one: Published) -> None:
    lines = one.lines()
    with pytest.raises(FraudsimError, match="line 6 is empty"):
        read_dataset(one.write(tmp_path, [*lines[:5], "", *lines[5:]]))
    with pytest.raises(FraudsimError, match=r"line 6: .* is the header again"):
        read_dataset(one.write(tmp_path, [*lines[:5], *lines[:5]]))
    path = one.write(tmp_path, one.replaced(9, one.amount, "ä"))
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff"))
    with pytest.raises(FraudsimError, match=f"line 9: {one.amount} is not UTF-8"):
        read_dataset(path)


@CSV
def test_files_without_rows_are_named(tmp_path: Path, one: Published) -> None:
    with pytest.raises(FraudsimError, match=f"^{one.layout} .*: there are no rows$"):
        read_dataset(one.write(tmp_path, [one.header]))
    refund = one.replaced(2, one.amount, one.money("-1.00"))[:2]
    with pytest.raises(FraudsimError, match=f"no rows left, 1 were dropped: {one.amount} below 0"):
        read_dataset(one.write(tmp_path, refund))


@pytest.mark.parametrize("name", [layout.name for layout in LAYOUTS if layout.tx_id and layout.form == "CSV"])
def test_a_transaction_that_stands_twice_is_named(tmp_path: Path, name: str) -> None:
    one = published(name)
    lines = one.lines()
    with pytest.raises(FraudsimError, match=r"line 122: .*='.*' stands before"):
        read_dataset(one.write(tmp_path, [*lines, lines[40]]))


@pytest.mark.parametrize("name", ["tabformer", "paysim", "cardsim"])
def test_rows_without_an_id_are_called_by_their_line(tmp_path: Path, name: str) -> None:
    ids = set(read_dataset(published(name).write(tmp_path)).tables.transactions["tx_id"].to_pylist())
    assert ids == {str(line) for line in range(2, ROWS + 2)}


@CSV
def test_a_byte_order_mark_windows_line_ends_and_a_missing_last_line_end_change_nothing(
    tmp_path: Path, one: Published
) -> None:
    path = one.write(tmp_path)
    before = read_dataset(path).fingerprint
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n").rstrip())
    assert read_dataset(path).fingerprint == before


@CSV
def test_the_file_is_read_in_blocks_and_lines_are_counted_over_them(
    tmp_path: Path, one: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_dataset(one.write(tmp_path)).fingerprint
    monkeypatch.setattr("producers.datasets.csv_file.BLOCK_BYTES", 6_000)
    assert read_dataset(one.write(tmp_path)).fingerprint == whole
    with pytest.raises(FraudsimError, match=f"line 118: {one.fraud.replace('?', '.')}='2' is neither"):
        read_dataset(one.write(tmp_path, one.replaced(118, one.fraud, "2")))
    cut = one.lines()
    with pytest.raises(FraudsimError, match="line 120: 1 values where the header has"):
        read_dataset(one.write(tmp_path, [*cut[:119], "7"]))

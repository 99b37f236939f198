"""What holds for every dataset that can be replayed, whatever its layout."""

import doctest
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from structlog import get_logger
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label, Transaction, Truth, decode_transaction, encoder
from fraudsim.settings import Settings
from producers.datasets import paysim
from producers.datasets.layout import Batch, Layout
from producers.datasets.registry import LAYOUTS, layout_of, read_dataset, replay_history, replay_source
from producers.history.reader import read_history
from producers.population.columns import DAY_MS
from producers.traffic.live_source import LiveStream, live_source
from producers.world_cli import app
from testing.contracts import loader
from testing.contracts.loader import check_loader
from testing.samples.published_files import PER_DAY, PUBLISHED, ROWS, Published, published, write_handbook

NAMES = [layout.name for layout in LAYOUTS]
CSV = pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.layout)


def write(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    return write_handbook(folder / "book.parquet") if name == "handbook" else published(name).write(folder)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_layout_keeps_the_contract_of_loaders(tmp_path: Path, layout: Layout) -> None:
    path = write(tmp_path, layout.name)
    if layout.form == "Parquet":
        check_loader(layout, path)
        return
    file = published(layout.name)
    time_column, bad_time = file.time
    check_loader(
        layout,
        path,
        amount=file.amount,
        write_amount=file.money,
        bad_values={file.amount: file.money("ten"), file.fraud: "maybe", time_column: bad_time},
    )


def test_the_example_of_the_contract_runs() -> None:
    results = doctest.testmod(loader)
    assert results.attempted > 0
    assert results.failed == 0


PAYSIM = paysim.LAYOUT


def with_batches(change: Callable[[Batch], Batch]) -> Layout:
    """PaySim's layout with changed batches."""
    return replace(PAYSIM, batches=lambda path: map(change, PAYSIM.batches(path)))


@pytest.mark.parametrize(
    ("layout", "complaint"),
    [
        (replace(PAYSIM, columns=(*PAYSIM.columns, "iban")), r"lacks the columns \['iban'\]"),
        (replace(PAYSIM, ids={}), "ids that lost digits are not seen"),
        (replace(PAYSIM, ids={"iban": "nameOrig"}), "ids has fields that no event has"),
        (replace(PAYSIM, ids={"card_id": "iban"}), "ids has columns not read"),
        (replace(PAYSIM, tx_id="iban"), "tx_id is not in columns"),
        (with_batches(lambda batch: batch._replace(is_fraud=batch.is_fraud[1:])), "unequal length"),
        (
            with_batches(lambda batch: batch._replace(is_fraud=~batch.is_fraud)),
            "typologies are not of frauds",
        ),
        (with_batches(lambda batch: batch._replace(rows=batch.rows[::-1])), "row numbers do not increase"),
        (with_batches(lambda batch: batch._replace(dropped={"odd": 0})), "counts no dropped row"),
        (replace(PAYSIM, tx_id="nameOrig"), "a bad file is read; expected an error with .*nameOrig="),
    ],
)
def test_a_loader_that_breaks_the_contract_is_told_what_is_wrong(
    tmp_path: Path, layout: Layout, complaint: str
) -> None:
    with pytest.raises(AssertionError, match=f"^paysim: .*{complaint}"):
        check_loader(layout, write(tmp_path, "paysim"))


def test_a_loader_whose_events_follow_from_the_files_name_breaks_the_contract(tmp_path: Path) -> None:
    def named(path: Path) -> Iterator[Batch]:
        for batch in PAYSIM.batches(path):
            names = pa.array([f"{path.stem[:4]}-{row}" for row in batch.rows])
            columns = {name: batch.transactions[name] for name in batch.transactions.column_names}
            transactions = pa.table({**columns, "tx_id": names}, schema=batch.transactions.schema)
            yield batch._replace(transactions=transactions)

    with pytest.raises(AssertionError, match="the file's name changes the content"):
        check_loader(replace(PAYSIM, batches=named), write(tmp_path, "paysim"))


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
def test_the_producer_opens_it_where_the_logs_history_ends(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    end_ms = read_dataset(path).split_ms()
    clock = SimpleNamespace(first=SimpleNamespace(event_epoch_ms=end_ms))
    opened = live_source(LiveStream(replay=path, speed=1000.0), clock, Settings(_env_file=None), get_logger())
    source = replay_source(path, end_ms)
    assert opened.duration_s == source.seconds(1000.0)
    assert opened.source.name == source.name


@CSV
def test_another_amount_is_another_content(tmp_path: Path, file: Published) -> None:
    before = read_dataset(file.write(tmp_path)).fingerprint
    changed = file.write(tmp_path, file.replaced(7, file.amount, file.money("1.23")))
    assert read_dataset(changed).fingerprint != before


@CSV
def test_rows_of_equal_time_keep_the_files_order_and_others_are_put_in_order(
    tmp_path: Path, file: Published
) -> None:
    lines = file.lines()
    late_first = [lines[0], lines[-1], *lines[1:-1]]
    ts = read_dataset(file.write(tmp_path, late_first)).tables.transactions["ts"].to_pylist()
    assert ts == read_dataset(file.write(tmp_path)).tables.transactions["ts"].to_pylist() == sorted(ts)


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
    tmp_path: Path, file: Published, column: str, bad: str, why: str
) -> None:
    name = {"amount": file.amount, "fraud": file.fraud, "time": file.time[0]}[column]
    if column == "amount":
        bad = file.money(bad)
    path = file.write(tmp_path, file.replaced(18, name, bad))
    with pytest.raises(FraudsimError) as error:
        read_dataset(path)
    message = str(error.value)
    assert message.startswith(f"{file.layout} {path}: line 18: ")
    assert "\n" not in message
    if why:
        assert f"{name}={bad!r} {why}".replace("?", "") in message.replace("?", "")
    else:
        assert "values where the header has" in message


@CSV
def test_a_time_that_is_none_is_named(tmp_path: Path, file: Published) -> None:
    name, bad = file.time
    with pytest.raises(FraudsimError, match=f"line 121: {name}='{bad}' is not "):
        read_dataset(file.write(tmp_path, file.replaced(121, name, bad)))


@CSV
def test_a_file_that_was_cut_off_is_named_with_its_last_line(tmp_path: Path, file: Published) -> None:
    path = file.write(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.rindex(file.lines()[-1]) + 5])
    with pytest.raises(FraudsimError, match=rf"{file.file}: line 121: .* \(a file that was cut off\?\)$"):
        read_dataset(path)


@pytest.mark.parametrize("name", ["tabformer", "paysim", "cardsim"])
def test_rows_without_an_id_are_called_by_their_line(tmp_path: Path, name: str) -> None:
    ids = set(read_dataset(published(name).write(tmp_path)).tables.transactions["tx_id"].to_pylist())
    assert ids == {str(line) for line in range(2, ROWS + 2)}


@CSV
def test_the_file_is_read_in_blocks_and_lines_are_counted_over_them(
    tmp_path: Path, file: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_dataset(file.write(tmp_path)).fingerprint
    monkeypatch.setattr("producers.datasets.csv_file.BLOCK_BYTES", 6_000)
    assert read_dataset(file.write(tmp_path)).fingerprint == whole
    with pytest.raises(FraudsimError, match=f"line 118: {file.fraud.replace('?', '.')}='2' is neither"):
        read_dataset(file.write(tmp_path, file.replaced(118, file.fraud, "2")))
    cut = file.lines()
    with pytest.raises(FraudsimError, match="line 120: 1 values where the header has"):
        read_dataset(file.write(tmp_path, [*cut[:119], "7"]))

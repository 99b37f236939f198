"""The contract of a dataset's loader: what holds for every `producers.datasets.layout.Layout`.

Each check raises an AssertionError that names the layout and what is wrong; `check_loader` runs them all. The
file is a small sample in the published form: some rows on each of at least three days, with some frauds. The
checks make changed copies of it in `directory`, without the files beside it.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_AMOUNT_CENTS, Label, Transaction, Truth, decode_transaction, encoder
from producers.datasets.dataset import Dataset, DatasetSource, load_dataset
from producers.datasets.layout import Layout
from producers.history.tables import TRANSACTIONS
from producers.population.columns import DAY_MS


def check_loader(
    layout: Layout,
    path: Path,
    *,
    amount: str | None = None,
    write_amount: Callable[[str], str] = str,
    bad_values: Mapping[str, str] | None = None,
) -> None:
    """Check a layout on a small file of it.

    Args:
        amount: the column of amounts, if rows with an amount that no event can represent are to be dropped.
        write_amount: gives an amount such as "1.23" as the file writes it.
        bad_values: for some columns a value that the loader must refuse.

    Raises:
        AssertionError: the loader breaks the contract.

    Example:
        >>> from producers.datasets import paysim
        >>> from testing.samples.published_files import published
        >>> with TemporaryDirectory() as folder:
        ...     path = published("paysim").write(Path(folder))
        ...     check_loader(paysim.LAYOUT, path, amount="amount", bad_values={"isFraud": "maybe"})
    """
    check_header(layout, path)
    check_batches(layout, path)
    check_order(layout, path)
    check_events(layout, path)
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        check_split(layout, path, directory)
        check_determinism(layout, path, directory)
        check_missing_columns(layout, path, directory)
        check_repeated_ids(layout, path, directory)
        check_without_rows(layout, path, directory)
        for column, value in (bad_values or {}).items():
            check_bad_value(layout, path, directory, column, value)
        if layout.form == "CSV":
            for column in layout.ids.values():
                check_bad_value(layout, path, directory, column, "2.29116E+15")
            check_csv_text(layout, path, directory)
            check_csv_damage(layout, path, directory)
        if amount is not None:
            check_amount_limits(layout, path, directory, amount, write_amount)


def check_header(layout: Layout, path: Path) -> None:
    """The layout recognises its own file by the header, and has the columns that it says it reads."""
    header = read_header(layout, path)
    missing = [name for name in layout.columns if name not in header]
    assert not missing, f"{layout.name}: the sample lacks the columns {missing}"
    assert layout.fits(header), f"{layout.name}: does not fit the header of its own sample"
    assert not layout.fits(["tx_id"]), f"{layout.name}: fits a header that has none of its columns"
    assert layout.tx_id is None or layout.tx_id in layout.columns, f"{layout.name}: tx_id is not in columns"
    assert layout.ids, f"{layout.name}: ids names no column, so ids that lost digits are not seen"
    assert set(layout.ids) <= set(TRANSACTIONS.names), f"{layout.name}: ids has fields that no event has"
    assert set(layout.ids.values()) <= set(layout.columns), f"{layout.name}: ids has columns not read"


def check_batches(layout: Layout, path: Path) -> None:
    """Batches have the schema of transactions, equal lengths, increasing rows, typologies of frauds only."""
    last_row = -1
    for batch in layout.batches(path):
        count = batch.transactions.num_rows
        assert batch.transactions.schema == TRANSACTIONS, f"{layout.name}: {batch.transactions.schema}"
        assert len(batch.is_fraud) == len(batch.rows) == count, f"{layout.name}: columns of unequal length"
        assert batch.is_fraud.dtype == np.bool_, f"{layout.name}: is_fraud is {batch.is_fraud.dtype}"
        if batch.typology is not None:
            has_typology = np.array([text is not None for text in batch.typology.to_pylist()], np.bool_)
            assert np.array_equal(has_typology, batch.is_fraud), (
                f"{layout.name}: typologies are not of frauds"
            )
        assert np.all(np.diff(batch.rows, prepend=last_row) > 0), (
            f"{layout.name}: row numbers do not increase"
        )
        last_row = int(batch.rows[-1]) if count else last_row
        assert all(batch.dropped.values()), f"{layout.name}: counts no dropped row for a reason"


def check_order(layout: Layout, path: Path) -> None:
    """The dataset is ordered by time, and rows of equal time keep the file's order."""
    tables = [batch.transactions for batch in layout.batches(path)]
    ts = np.concatenate([table["ts"].to_numpy() for table in tables])
    tx_id = np.array([tx_id for table in tables for tx_id in table["tx_id"].to_pylist()])
    transactions = load_dataset(layout, path).tables.transactions
    order = np.argsort(ts, kind="stable")
    assert transactions["ts"].to_pylist() == ts[order].tolist(), f"{layout.name}: not in order of time"
    assert transactions["tx_id"].to_pylist() == tx_id[order].tolist(), f"{layout.name}: equal times reordered"


def check_events(layout: Layout, path: Path) -> None:
    """Every transaction is valid in the log, every fraud has one truth, and labels are of transactions."""
    dataset = load_dataset(layout, path)
    events = [item.event for item in DatasetSource(dataset, 0).items()]
    transactions = [event for event in events if isinstance(event, Transaction)]
    truths = [event for event in events if isinstance(event, Truth)]
    labels = [event for event in events if isinstance(event, Label)]
    tx_ids = {tx.tx_id for tx in transactions}
    assert len(transactions) == dataset.tables.transactions.num_rows, f"{layout.name}: transactions are lost"
    assert len(tx_ids) == len(transactions), f"{layout.name}: transactions of one id"
    for tx in transactions:
        assert decode_transaction(encoder.encode(tx)) == tx, f"{layout.name}: {tx} is not valid in the log"
    frauds = dataset.tables.truth.filter(dataset.tables.truth["is_fraud"])["tx_id"].to_pylist()
    assert frauds, f"{layout.name}: the sample has no fraud"
    assert sorted(truth.tx_id for truth in truths) == sorted(frauds), (
        f"{layout.name}: truths are not of the frauds"
    )
    assert all(t.is_fraud and t.typology is not None for t in truths), (
        f"{layout.name}: truth without typology"
    )
    assert {label.tx_id for label in labels} <= tx_ids, f"{layout.name}: labels of no transaction"
    assert any(label.is_fraud for label in labels), f"{layout.name}: no fraud is ever labelled"


def check_split(layout: Layout, path: Path, directory: Path) -> None:
    """History takes two thirds of the days, the stream the rest, and no row or label is lost or doubled."""
    dataset = load_dataset(layout, path)
    history = directory / "history"
    manifest = dataset.write_history(history)
    assert manifest.source == layout.name, f"{layout.name}: the history is of {manifest.source}"
    assert manifest.config["file"] == path.name, f"{layout.name}: the history names {manifest.config['file']}"
    assert manifest.end_ms == manifest.start_ms + manifest.days * DAY_MS == dataset.split_ms(), (
        f"{layout.name}: split"
    )
    source = DatasetSource(dataset, manifest.end_ms)
    items = list(source.items())
    live = [item for item in items if isinstance(item.event, Transaction)]
    past = pq.read_table(history / "transactions.parquet", columns=["tx_id", "ts"])
    assert manifest.transactions == past.num_rows, f"{layout.name}: the manifest counts other rows"
    tx_ids = past["tx_id"].to_pylist() + [
        item.event.tx_id for item in live if isinstance(item.event, Transaction)
    ]
    assert tx_ids == dataset.tables.transactions["tx_id"].to_pylist(), (
        f"{layout.name}: rows are lost or doubled"
    )
    assert max(past["ts"].to_pylist()) < manifest.end_ms <= min(item.due_ms for item in live), (
        f"{layout.name}: history and stream overlap"
    )
    assert source.seconds(speed=2.0) == (live[-1].due_ms + 1 - manifest.end_ms) / 2000, (
        f"{layout.name}: seconds"
    )
    logged = pq.read_table(history / "labels.parquet", columns=["tx_id", "known_at"]).to_pylist()
    due = [label["tx_id"] for label in logged if label["known_at"] >= manifest.end_ms]
    sent = [i.event.tx_id for i in items if isinstance(i.event, Label) and i.event.ts < manifest.end_ms]
    assert sorted(due) == sorted(sent), (
        f"{layout.name}: labels of the history are not sent when they are known"
    )


def check_determinism(layout: Layout, path: Path, directory: Path) -> None:
    """The same content gives the same stream, whatever the file is called; the split is part of its name."""
    copy = directory / f"copy{path.suffix}"
    copy.write_bytes(path.read_bytes())
    first, second = load_dataset(layout, path), load_dataset(layout, copy)
    assert first.fingerprint == second.fingerprint, f"{layout.name}: the file's name changes the content"
    source, again = DatasetSource(first, DAY_MS), DatasetSource(second, DAY_MS)
    assert source.name == again.name, f"{layout.name}: the file's name changes the stream's name"
    assert source.name.startswith(f"{layout.name}-"), f"{layout.name}: the stream is called {source.name}"
    assert DatasetSource(first, DAY_MS + 1).name != source.name, (
        f"{layout.name}: the split is not in the name"
    )
    items = list(source.items())
    assert items == list(again.items()) == list(source.items()), (
        f"{layout.name}: the stream is not reproducible"
    )
    due = [item.due_ms for item in items]
    assert due == sorted(due), f"{layout.name}: records are not in order of due_ms"


def check_missing_columns(layout: Layout, path: Path, directory: Path) -> None:
    """Each column that is read must exist; the error names it."""
    for column in layout.columns:
        copy = directory / path.name
        if layout.form == "Parquet":
            pq.write_table(pq.read_table(path).drop_columns([column]), copy)
        else:
            rows = read_csv(path)
            rows[0][rows[0].index(column)] = "something"
            write_csv(copy, rows)
        with refusal(layout, copy, f": column {column} is missing"):
            load_dataset(layout, copy)


def check_repeated_ids(layout: Layout, path: Path, directory: Path) -> None:
    """If the file has transaction ids, a repeated one is refused with its row."""
    if layout.tx_id is None:
        return
    copy = directory / path.name
    if layout.form == "Parquet":
        table = pq.read_table(path)
        number = table.num_rows
        pq.write_table(pa.concat_tables([table, table.slice(1, 1)]), copy)
    else:
        rows = read_csv(path)
        number = len(rows) + 1
        write_csv(copy, [*rows, rows[2]])
    with refusal(layout, copy, f": {layout.row_word} {number}: {layout.tx_id}=", "occurs before"):
        load_dataset(layout, copy)


def check_without_rows(layout: Layout, path: Path, directory: Path) -> None:
    """A file with a header only is refused."""
    copy = directory / path.name
    if layout.form == "Parquet":
        pq.write_table(pq.read_table(path).slice(0, 0), copy)
    else:
        write_csv(copy, read_csv(path)[:1])
    with refusal(layout, copy, ": there are no rows"):
        load_dataset(layout, copy)


def check_bad_value(layout: Layout, path: Path, directory: Path, column: str, value: str) -> None:
    """A bad value in a CSV file is refused with its line, column and text."""
    rows = read_csv(path)
    line = len(rows) // 2
    with refusal(layout, directory / path.name, f": line {line}: {column}={value!r} "):
        load_dataset(layout, write_csv(directory / path.name, replaced(rows, line, column, value)))


def check_csv_text(layout: Layout, path: Path, directory: Path) -> None:
    """A byte order mark, other line ends and a missing last line end change nothing."""
    copy, content = directory / path.name, path.read_bytes().replace(b"\r\n", b"\n")
    plain = load_dataset(layout, path).fingerprint
    for line_end in (b"\r\n", b"\r"):
        copy.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", line_end).rstrip())
        assert load_dataset(layout, copy).fingerprint == plain, (
            f"{layout.name}: a byte order mark or line ends change the content"
        )


def check_csv_damage(layout: Layout, path: Path, directory: Path) -> None:
    """Duplicated columns, empty lines, repeated headers, bad bytes and a cut-off end are refused by line."""
    copy, rows = directory / path.name, read_csv(path)
    for column in layout.columns:
        doubled = [[*row, column if number == 0 else "0"] for number, row in enumerate(rows)]
        with refusal(layout, copy, f": column {column} occurs twice in the header"):
            load_dataset(layout, write_csv(copy, doubled))
    write_csv(copy, rows)
    lines = copy.read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"".join([*lines[:5], b"\n", *lines[5:]]))
    with refusal(layout, copy, ": line 6 is empty"):
        load_dataset(layout, copy)
    with refusal(layout, copy, ": line 6: ", "is the header again"):
        load_dataset(layout, write_csv(copy, [*rows[:5], *rows[:5]]))
    write_csv(copy, replaced(rows, 5, layout.columns[0], "\u00e4"))
    copy.write_bytes(copy.read_bytes().replace("\u00e4".encode(), b"\xff"))
    with refusal(layout, copy, f": line 5: {layout.columns[0]} is not UTF-8"):
        load_dataset(layout, copy)
    copy.write_bytes(b"".join(lines[:-1]) + lines[-1].split(b",")[0])
    with refusal(layout, copy, f": line {len(rows)}: ", "cut off"):
        load_dataset(layout, copy)


def check_amount_limits(
    layout: Layout, path: Path, directory: Path, amount: str, write_amount: Callable[[str], str] = str
) -> None:
    """Rows whose amount no event can represent are dropped and counted; the limits themselves are kept."""
    limit = MAX_AMOUNT_CENTS // 100
    rows = read_csv(path)
    for line, value in enumerate(("-99.00", f"{limit}.01", f"{limit}.00", "0.00", "-0.01"), 3):
        rows = replaced(rows, line, amount, write_amount(value))
    copy = write_csv(directory / path.name, rows)
    dataset = load_dataset(layout, copy)
    expected = {f"{amount} below 0": 2, f"{amount} over {limit}": 1}
    assert dataset.dropped == expected, f"{layout.name}: dropped {dataset.dropped}, expected {expected}"
    cents = dataset.tables.transactions["amount_cents"].to_pylist()
    assert len(cents) == dataset.tables.truth.num_rows == len(rows) - 1 - 3, f"{layout.name}: rows are lost"
    assert cents.count(MAX_AMOUNT_CENTS) == cents.count(0) == 1, (
        f"{layout.name}: amounts at the limits are lost"
    )
    check_drops_are_reported(dataset, directory / "dropped")
    first = replaced(rows[:2], 2, amount, write_amount("-1.00"))
    with refusal(layout, copy, f"no rows left, 1 were dropped: {amount} below 0"):
        load_dataset(layout, write_csv(copy, first))


def check_drops_are_reported(dataset: Dataset, directory: Path) -> None:
    """The manifest of the history and the stream say how many rows were dropped."""
    manifest = dataset.write_history(directory, dataset.end_ms)
    assert manifest.config["dropped"] == dataset.dropped, (
        f"{dataset.layout.name}: {manifest.config['dropped']}"
    )
    assert DatasetSource(dataset, DAY_MS).dropped == dataset.dropped, (
        f"{dataset.layout.name}: the stream's drops"
    )


@contextmanager
def refusal(layout: Layout, path: Path, *parts: str) -> Iterator[None]:
    """Expect a `FraudsimError` of one line that starts with layout and path and holds `parts`."""
    try:
        yield
    except FraudsimError as error:
        message = str(error)
    else:
        raise AssertionError(
            f"{layout.name}: a bad file is read; expected an error with {' … '.join(parts)!r}"
        )
    assert message.startswith(f"{layout.name} {path}: "), (
        f"{layout.name}: error {message!r} does not name the file"
    )
    assert "\n" not in message, f"{layout.name}: error {message!r} has several lines"
    for part in parts:
        assert part in message, f"{layout.name}: error {message!r} does not say {part!r}"


def read_header(layout: Layout, path: Path) -> list[str]:
    return pq.read_schema(path).names if layout.form == "Parquet" else read_csv(path)[0]


def read_csv(path: Path) -> list[list[str]]:
    """All rows of a CSV file as texts; row 0, the header, is line 1."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def replaced(rows: list[list[str]], line: int, column: str, value: str) -> list[list[str]]:
    """The rows with the value of one column in one (1-based) line replaced."""
    index = rows[0].index(column)
    row = rows[line - 1]
    return [*rows[: line - 1], [*row[:index], value, *row[index + 1 :]], *rows[line:]]

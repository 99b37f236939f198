"""History on disk: what happened before a run starts, in Parquet, with a manifest that says what it is.

`transactions.parquet`, sorted by (ts, tx_id) or in a file's own order for equal times; `labels.parquet`,
every label those transactions ever get, by known_at, also those not known before `end_ms`;
`truth.parquet`, for evaluation only; `manifest.json`, written last. A world's ids are numbers in these files,
whose schema says how they are spelled (`fraudsim.id_columns`); `History` hands them out as texts.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudsim.errors import FraudsimError
from fraudsim.id_columns import spelled
from producers.columns import DAY_MS
from producers.fingerprint import Fingerprint
from producers.labels import LabelDelays
from producers.parallel_days import days_in_order
from producers.tables import LABELS, TRANSACTIONS, TRUTH, Tables, numbered, sort_labels
from producers.world import WORLD_VERSION, Day, World, WorldConfig

LAYOUT_VERSION: Final = 2
ROWS_PER_GROUP: Final = 200_000
"""A row group ends with the chunk that reaches this."""
SourceName = Literal["world", "handbook", "sparkov", "tabformer", "paysim", "ieee-cis", "cardsim"]
"""The world, or the layout of the file that a history comes from."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a history is. `seconds` and `tx_per_second` tell how it was made, not what it holds."""

    source: SourceName
    layout_version: int
    version: int
    """Of the source: the same version and configuration give the same content."""
    config: dict[str, Any]
    seed: int
    fingerprint: str
    """SHA-256 of the columns' content, 64 hex digits."""
    transactions: int
    labels: int
    cards: int
    """Cards that exist (world) or appear (a file)."""
    days: int
    start_ms: int
    end_ms: int
    """Event time at which the live stream starts."""
    transactions_per_day: float
    """Mean over the history."""
    fraud_rate: float
    """Share of transactions."""
    seconds: float
    tx_per_second: float


class History:
    """A history that has been opened: its manifest, and its tables when asked for."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest

    @property
    def transactions_path(self) -> Path:
        return self.directory / "transactions.parquet"

    @property
    def labels_path(self) -> Path:
        return self.directory / "labels.parquet"

    @property
    def truth_path(self) -> Path:
        return self.directory / "truth.parquet"

    def transactions(self, columns: list[str] | None = None) -> pa.Table:
        """Every transaction before `end_ms`, in order; `tables.TRANSACTIONS` is the schema."""
        return _read(self.transactions_path, columns)

    def labels(self, known_before_ms: int | None = None) -> pa.Table:
        """Labels by known_at (`tables.LABELS`): all of them, or those known strictly before a time."""
        table = _read(self.labels_path, None)
        if known_before_ms is None:
            return table
        return table.filter(pc.less(table["known_at"], known_before_ms))

    def truth(self) -> pa.Table:
        """What the generator knows (`tables.TRUTH`), one row per transaction; for evaluation only."""
        return _read(self.truth_path, None)


def transactions_per_day(history: History) -> float:
    """Mean rate of a history, which a live stream at speed 1 continues."""
    return history.manifest.transactions_per_day


def write_history(
    directory: Path,
    world: World,
    days: int,
    on_day: Callable[[int], None] = lambda _: None,
    workers: int = 1,
) -> Manifest:
    """Write days 0 to `days - 1` of a world; `on_day` hears how many are done.

    Several `workers` are processes that make the days, which this one writes; the files come out the same.

    Raises:
        FraudsimError: `days` or `workers` is not positive, a worker failed, or the directory cannot be
            written.
    """
    for name, value in (("days", days), ("workers", workers)):
        if value < 1:
            raise FraudsimError(f"history: {name}={value} must be 1 or more")
    typologies = [typology.name for typology in world.typologies]

    def chunks(made: Iterator[Day]) -> Iterator[Tables]:
        for day in made:
            yield numbered(world.population, day, typologies)
            on_day(day.number + 1)

    with days_in_order(world, days, workers) as made:
        return write_tables(
            directory,
            chunks(made),
            source="world",
            version=WORLD_VERSION,
            config=asdict(world.config),
            seed=world.config.seed,
            start_ms=world.day_start_ms(0),
            end_ms=world.day_start_ms(days),
            cards=world.config.cards,
        )


def write_tables(
    directory: Path,
    chunks: Iterable[Tables],
    *,
    source: SourceName,
    version: int,
    config: dict[str, Any],
    seed: int,
    start_ms: int,
    end_ms: int,
    cards: int,
) -> Manifest:
    """Write chunks, in order of time, as one history; every file appears whole, the manifest last.

    Raises:
        FraudsimError: the directory cannot be written, or there are no transactions.
    """
    started = time.perf_counter()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "manifest.json").unlink(missing_ok=True)
        content = _write_files(directory, chunks)
        seconds = time.perf_counter() - started
        if content.transactions == 0:
            raise FraudsimError(f"history {directory}: there are no transactions to write")
        days = (end_ms - start_ms) / DAY_MS
        manifest = Manifest(
            source=source,
            layout_version=LAYOUT_VERSION,
            version=version,
            config=config,
            seed=seed,
            fingerprint=content.fingerprint.hexdigest(),
            transactions=content.transactions,
            labels=content.labels,
            cards=cards,
            days=round(days),
            start_ms=start_ms,
            end_ms=end_ms,
            transactions_per_day=content.transactions / days,
            fraud_rate=content.frauds / content.transactions,
            seconds=round(seconds, 3),
            tx_per_second=round(content.transactions / seconds, 1),
        )
        part = directory / "manifest.json.part"
        part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        os.replace(part, directory / "manifest.json")
    except OSError as error:
        where = error.filename or directory
        raise FraudsimError(f"history {where}: {error.strerror or error}") from None
    return manifest


class _Content:
    """What went into the files so far."""

    def __init__(self) -> None:
        self.fingerprint = Fingerprint()
        self.transactions = 0
        self.labels = 0
        self.frauds = 0


def _write_files(directory: Path, chunks: Iterable[Tables]) -> _Content:
    """Writing and hashing go on in threads while the next chunk is made: both let go of the interpreter."""
    content = _Content()
    chunks = iter(chunks)
    first = next(chunks)
    labels: list[pa.Table] = []
    with (
        _InTurn() as hashing,
        _RowGroups(directory / "transactions.parquet", first.transactions.schema) as transactions,
        _RowGroups(directory / "truth.parquet", first.truth.schema) as truth,
        _RowGroups(directory / "labels.parquet", first.labels.schema) as known,
    ):
        for chunk in chain([first], chunks):
            transactions.add(chunk.transactions)
            truth.add(chunk.truth)
            labels.append(chunk.labels)
            hashed = {"transactions": chunk.transactions, "truth": chunk.truth}
            hashing.do(content.fingerprint.add_all, hashed)
            content.transactions += chunk.transactions.num_rows
            content.frauds += pc.sum(chunk.truth["is_fraud"]).as_py() or 0
        every = sort_labels(pa.concat_tables(labels).unify_dictionaries().combine_chunks())
        known.add(every)
        content.labels = every.num_rows
        hashing.do(content.fingerprint.add_all, {"labels": every})
    return content


class _InTurn:
    """A thread that does one thing after the other, of which the next waits for the one before."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._doing: Future[None] | None = None

    def __enter__(self) -> "_InTurn":
        return self

    def do(self, function: Callable[..., None], *arguments: Any) -> None:
        """Begin, once what was begun before is done; raises what that raised."""
        self.wait()
        self._doing = self._pool.submit(function, *arguments)

    def wait(self) -> None:
        """Until all is done; raises what the last thing raised."""
        doing, self._doing = self._doing, None
        if doing is not None:
            doing.result()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown()


def encoding_of(field: pa.Field) -> str | None:
    """How a column is written: None as words of a dictionary, for what repeats its values."""
    if field.name == "tx_id":
        return "DELTA_LENGTH_BYTE_ARRAY" if is_text(field.type) else "PLAIN"
    if field.name in ("device_id", "ip") and not is_text(field.type):
        return "PLAIN"
    return "DELTA_BINARY_PACKED" if field.type in (pa.int64(), pa.uint32()) else None


def is_text(kind: pa.DataType) -> bool:
    """Whether texts are stored, each where it stands or as words of a dictionary."""
    return pa.types.is_string(kind) or pa.types.is_dictionary(kind)


class _RowGroups:
    """A Parquet file of large row groups that appears by rename when it is complete."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._writing = _InTurn()

    def __enter__(self) -> "_RowGroups":
        names = self._schema.names
        encodings = {field.name: encoding_of(field) for field in self._schema}
        self._writer = pq.ParquetWriter(
            self._part,
            self._schema,
            # Numbers hardly shrink beyond their encoding.
            compression={f.name: "zstd" if is_text(f.type) else "none" for f in self._schema},
            use_dictionary=[name for name in names if encodings[name] is None],
            column_encoding={name: encoding for name, encoding in encodings.items() if encoding},
            # Only times let a reader pass over row groups; the others' took a third of the writing.
            write_statistics=[name for name in names if name in ("ts", "known_at")],
        )
        return self

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writing.do(self._write, self._waiting)
        self._waiting, self._rows = [], 0

    def _write(self, tables: list[pa.Table]) -> None:
        whole = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        self._writer.write_table(whole, row_group_size=max(1, len(whole)))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        failed = kind is not None
        try:
            with self._writing:
                if not failed:
                    self._flush()
        except BaseException:
            failed = True
            raise
        finally:
            self._writer.close()
            if failed:
                self._part.unlink(missing_ok=True)
            else:
                os.replace(self._part, self._path)


def read_history(directory: Path) -> History:
    """Open a history.

    Raises:
        FraudsimError: a file is missing or cannot be read, or its layout is of another version;
            the message names the file.
    """
    path = directory / "manifest.json"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise FraudsimError(
            f"history {path}: not there; `fraudsim world generate --out {directory}` makes one"
        ) from None
    except OSError as error:
        raise FraudsimError(f"history {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise FraudsimError(f"history {path}: {error}") from None
    if manifest.layout_version != LAYOUT_VERSION:
        raise FraudsimError(
            f"history {path}: layout_version={manifest.layout_version}, this program reads {LAYOUT_VERSION}; "
            "generate it anew"
        )
    history = History(directory, manifest)
    _check_file(history.transactions_path, TRANSACTIONS, manifest.transactions)
    _check_file(history.labels_path, LABELS, None)
    if history.truth_path.exists():
        _check_file(history.truth_path, TRUTH, manifest.transactions)
    return history


def _check_file(path: Path, schema: pa.Schema, rows: int | None) -> None:
    """That a file is there, whole, and of the history that the manifest speaks of; only its end is read."""
    try:
        file = pq.read_metadata(path)
    except FileNotFoundError:
        raise FraudsimError(f"history {path}: not there; generate the history anew") from None
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(
            f"history {path}: {str(error).splitlines()[0]}; generate the history anew"
        ) from None
    present = file.schema.to_arrow_schema().names
    lacking = next((name for name in schema.names if name not in present), None)
    if lacking is not None:
        raise FraudsimError(f"history {path}: column {lacking} is missing; generate the history anew")
    if rows is not None and file.num_rows != rows:
        raise FraudsimError(
            f"history {path}: has {file.num_rows:,} rows, manifest.json says {rows:,}: files of two "
            "histories were mixed; generate it anew"
        )


def world_of(history: History) -> World:
    """The world that a history comes from, ready to go on with its live days.

    Raises:
        FraudsimError: the history comes from a file, or from another version of the world.
    """
    manifest = history.manifest
    if manifest.source != "world":
        raise FraudsimError(f"history {history.directory}: source={manifest.source!r} is not a world")
    if manifest.version != WORLD_VERSION:
        raise FraudsimError(
            f"history {history.directory}: version={manifest.version} of the world, this program has "
            f"{WORLD_VERSION}; generate it anew"
        )
    config = dict(manifest.config)
    return World(WorldConfig(**{**config, "delays": LabelDelays(**config["delays"])}))


def _read(path: Path, columns: list[str] | None) -> pa.Table:
    if not path.is_file():
        raise FraudsimError(f"history {path}: not there; generate the history anew")
    try:
        return spelled(pq.read_table(path, columns=columns).unify_dictionaries())
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"history {path}: {str(error).splitlines()[0]}") from None

"""Writing a history: a world's days or a public file's transactions, in the files that `reader` describes."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from producers.history.fingerprint import Fingerprint
from producers.history.manifest import LAYOUT_VERSION, HistoryManifest, HistoryOrigin
from producers.history.parallel_days import days_in_order
from producers.history.row_groups import SerialExecutor, row_group_file
from producers.history.tables import Tables, day_tables, sort_labels
from producers.population.columns import DAY_MS
from producers.world.day import Day
from producers.world.world import WORLD_VERSION, World


def write_history(
    directory: Path,
    world: World,
    days: int,
    on_day: Callable[[int], None] = lambda _: None,
    workers: int = 1,
) -> HistoryManifest:
    """Write days 0 to `days - 1` of a world; `on_day` is called with the number of days done.

    With several `workers`, that many processes make the days and this one writes; the files are the same.

    Raises:
        FraudsimError: `days` or `workers` is not positive, a worker failed, or the directory cannot be
            written.
    """
    for name, value in (("days", days), ("workers", workers)):
        if value < 1:
            raise FraudsimError(f"history: {name}={value} must be 1 or more")
    typologies = [typology.name for typology in world.typologies]

    def day_chunks(world_days: Iterator[Day]) -> Iterator[Tables]:
        for day in world_days:
            yield day_tables(world.population, day, typologies)
            on_day(day.number + 1)

    with days_in_order(world, days, workers) as world_days:
        return write_tables(
            directory,
            day_chunks(world_days),
            HistoryOrigin(
                source="world",
                version=WORLD_VERSION,
                config=world.config.as_dict(),
                seed=world.config.seed,
                start_ms=world.day_start_ms(0),
                end_ms=world.day_start_ms(days),
                cards=world.config.cards,
            ),
        )


def write_tables(directory: Path, chunks: Iterable[Tables], origin: HistoryOrigin) -> HistoryManifest:
    """Write chunks, in order of time, as one history; each file appears when complete, the manifest last.

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
        days = (origin.end_ms - origin.start_ms) / DAY_MS
        manifest = HistoryManifest(
            source=origin.source,
            layout_version=LAYOUT_VERSION,
            version=origin.version,
            config=origin.config,
            seed=origin.seed,
            fingerprint=content.fingerprint.hexdigest(),
            transactions=content.transactions,
            labels=content.labels,
            cards=origin.cards,
            days=round(days),
            start_ms=origin.start_ms,
            end_ms=origin.end_ms,
            transactions_per_day=content.transactions / days,
            fraud_rate=content.frauds / content.transactions,
            seconds=round(seconds, 3),
            tx_per_second=round(content.transactions / seconds, 1),
        )
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        write_whole(directory / "manifest.json", text)
    except OSError as error:
        path = error.filename or directory
        raise FraudsimError(f"history {path}: {error.strerror or error}") from None
    return manifest


class _WrittenContent:
    """Fingerprint and counts of the rows written so far."""

    def __init__(self) -> None:
        self.fingerprint = Fingerprint()
        self.transactions = 0
        self.labels = 0
        self.frauds = 0


def _write_files(directory: Path, chunks: Iterable[Tables]) -> _WrittenContent:
    """Write and hash in threads while the next chunk is made: both release the interpreter lock."""
    content = _WrittenContent()
    chunks = iter(chunks)
    first = next(chunks)
    labels: list[pa.Table] = []
    with (
        SerialExecutor() as hashing,
        row_group_file(directory / "transactions.parquet", first.transactions.schema) as transactions,
        row_group_file(directory / "truth.parquet", first.truth.schema) as truth,
        row_group_file(directory / "labels.parquet", first.labels.schema) as label_file,
    ):
        for chunk in chain([first], chunks):
            transactions.add(chunk.transactions)
            truth.add(chunk.truth)
            labels.append(chunk.labels)
            tables = {"transactions": chunk.transactions, "truth": chunk.truth}
            hashing.submit(content.fingerprint.add_all, tables)
            content.transactions += chunk.transactions.num_rows
            content.frauds += pc.sum(chunk.truth["is_fraud"]).as_py() or 0
        all_labels = sort_labels(pa.concat_tables(labels).unify_dictionaries().combine_chunks())
        label_file.add(all_labels)
        content.labels = all_labels.num_rows
        hashing.submit(content.fingerprint.add_all, {"labels": all_labels})
    return content

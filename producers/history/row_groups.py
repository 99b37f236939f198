"""Parquet files of large row groups, written in a thread while the next rows are made."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.whole_files import whole_file

ROWS_PER_GROUP: Final = 200_000
"""A row group ends with the table that reaches this many rows."""


class SerialExecutor:
    """A thread that runs one function at a time; submitting the next waits for the one before."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[None] | None = None

    def __enter__(self) -> "SerialExecutor":
        return self

    def submit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Start a function once the previous one has ended; raises what the previous one raised."""
        self.wait()
        self._future = self._pool.submit(function, *arguments)

    def wait(self) -> None:
        """Wait for the last function; raises what it raised."""
        future, self._future = self._future, None
        if future is not None:
            future.result()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown()


def encoding_of(field: pa.Field) -> str | None:
    """The Parquet encoding of a column; None is a dictionary, for columns of repeated values."""
    if field.name == "tx_id":
        return "DELTA_LENGTH_BYTE_ARRAY" if is_text(field.type) else "PLAIN"
    if field.name in ("device_id", "ip") and not is_text(field.type):
        return "PLAIN"
    return "DELTA_BINARY_PACKED" if field.type in (pa.int64(), pa.uint32()) else None


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts, plain or in a dictionary."""
    return pa.types.is_string(kind) or pa.types.is_dictionary(kind)


class RowGroupWriter:
    """Collects tables until they fill a row group, and writes it in a thread."""

    def __init__(self, file: pq.ParquetWriter, executor: SerialExecutor) -> None:
        self._file = file
        self._executor = executor
        self._pending: list[pa.Table] = []
        self._pending_rows = 0

    def add(self, table: pa.Table) -> None:
        self._pending.append(table)
        self._pending_rows += table.num_rows
        if self._pending_rows >= ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a row group; the executor may still be writing it on return."""
        if self._pending:
            self._executor.submit(self._write, self._pending)
        self._pending, self._pending_rows = [], 0

    def _write(self, tables: list[pa.Table]) -> None:
        whole = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        self._file.write_table(whole, row_group_size=max(1, len(whole)))


@contextmanager
def row_group_file(path: Path, schema: pa.Schema) -> Iterator[RowGroupWriter]:
    """A Parquet file of large row groups; it appears once it is complete, and not after an exception."""
    encodings = {field.name: encoding_of(field) for field in schema}
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            # Numbers hardly shrink beyond their encoding.
            compression={f.name: "zstd" if is_text(f.type) else "none" for f in schema},
            use_dictionary=[name for name in schema.names if encodings[name] is None],
            column_encoding={name: encoding for name, encoding in encodings.items() if encoding},
            # Only times let a reader skip row groups; statistics of the others took a third of the writing.
            write_statistics=[name for name in schema.names if name in ("ts", "known_at")],
        ) as file,
        SerialExecutor() as executor,
    ):
        writer = RowGroupWriter(file, executor)
        yield writer
        writer.flush()

"""Writing Parquet files of large row groups while their next rows are made."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP: Final = 200_000
"""A row group ends with the table that reaches this."""


class SerialExecutor:
    """A thread that does one thing after the other, of which the next waits for the one before."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._doing: Future[None] | None = None

    def __enter__(self) -> "SerialExecutor":
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


class RowGroupWriter:
    """A Parquet file of large row groups that appears by rename when it is complete."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._writing = SerialExecutor()

    def __enter__(self) -> "RowGroupWriter":
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

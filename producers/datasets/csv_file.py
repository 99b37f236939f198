"""CSV files read as texts, block by block, with line numbers.

Nothing is inferred: no types, no nulls, no blank lines skipped but those at the end. So an amount is the
decimal that the file holds, and a message can name the line.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from fraudsim.arrays import Flags
from fraudsim.errors import FraudsimError
from producers.datasets.csv_block import CsvBlock
from producers.datasets.csv_form import read_form

BLOCK_BYTES: Final = 16 << 20
_INVALID_ROW: Final = re.compile(r"Row #(\d+): Expected \d+ columns, got (\d+)")


def read_blocks(layout: str, path: Path, columns: tuple[str, ...]) -> Iterator[CsvBlock]:
    """Read some columns of a file, block by block.

    Raises:
        FraudsimError: the file cannot be read, a column is missing or duplicated, or a line is cut off.
    """
    form = read_form(path)
    counts = Counter(form.header)
    for name in columns:
        if counts[name] != 1:
            reason = "is missing" if counts[name] == 0 else "occurs twice in the header"
            raise FraudsimError(f"{layout} {path}: column {name} {reason}")
    line = form.line + 1
    blank_line: int | None = None
    try:
        with pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, skip_rows=form.line - 1
            ),
            parse_options=pa_csv.ParseOptions(delimiter=form.delimiter, ignore_empty_lines=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                check_utf8=False,
                include_columns=list(columns),
                null_values=[],
                strings_can_be_null=False,
            ),
        ) as reader:
            for batch in reader:
                if batch.num_rows:
                    block = CsvBlock(layout, path, line, batch)
                    blank = _blank_rows(block, columns)
                    filled = len(block) - _trailing(blank)
                    if filled and blank_line is not None:
                        raise _is_empty(block, blank_line)
                    if blank[:filled].any():
                        raise _is_empty(block, line + int(np.flatnonzero(blank)[0]))
                    if filled < len(block) and blank_line is None:
                        blank_line = line + filled
                    if filled:
                        yield CsvBlock(layout, path, line, batch.slice(0, filled))
                line += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        # The error's text is parsed: a handler of invalid rows fails on rows that are not UTF-8.
        invalid = _INVALID_ROW.search(str(error))
        if invalid:
            number, value_count = invalid.groups()
            raise FraudsimError(
                f"{layout} {path}: line {number}: {value_count} values where the header has "
                f"{len(form.header)} (a file that was cut off?)"
            ) from None
        raise FraudsimError(f"{layout} {path}: after line {line - 1}: {str(error).splitlines()[0]}") from None


def _blank_rows(block: CsvBlock, columns: tuple[str, ...]) -> Flags:
    """The empty lines, shape (n,). Raises FraudsimError for a text that is not UTF-8."""
    blank = np.ones(len(block), np.bool_)
    for name in columns:
        texts = block.texts(name)
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid:
            row = next(i for i, text in enumerate(texts) if not _is_utf8(text.as_buffer().to_pybytes()))
            where = f"{block.layout} {block.path}: line {block.first_line + row}"
            raise FraudsimError(f"{where}: {name} is not UTF-8") from None
        blank &= np.asarray(pc.equal(texts, ""))
    return blank


def _trailing(blank: Flags) -> int:
    """How many rows are blank at the end; those at the end of a file say nothing."""
    return int(np.argmin(blank[::-1])) if not blank.all() else len(blank)


def _is_empty(block: CsvBlock, line: int) -> FraudsimError:
    return FraudsimError(
        f"{block.layout} {block.path}: line {line} is empty, and rows follow: remove it, if no row was lost"
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True

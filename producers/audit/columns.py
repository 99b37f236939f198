"""Columns of a history as numbers, codes and words."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudsim.arrays import Ints
from producers.history.reader import History


def observable_columns(history: History) -> list[str]:
    names: list[str] = pq.read_schema(history.transactions_path).names
    return names


def is_text(column: pa.ChunkedArray) -> bool:
    return pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)


def plain(column: pa.ChunkedArray) -> pa.Array:
    """The column in one chunk, a dictionary decoded to text."""
    whole = column.combine_chunks()
    return whole.cast(pa.string()) if pa.types.is_dictionary(whole.type) else whole


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """The column as numbers; nulls, if any, become -inf."""
    whole = column.combine_chunks()
    if whole.null_count == 0:
        return np.asarray(whole)
    return np.nan_to_num(np.asarray(whole.cast(pa.float64())), nan=-np.inf)


def codes_and_words(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Codes of a column, 0 for null, and the words of the codes from 1 on."""
    whole = column.combine_chunks()
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    codes = np.asarray(whole.indices.fill_null(-1)).astype(np.int64) + 1
    return codes, whole.dictionary


def all_words(column: pa.ChunkedArray) -> pa.Array:
    """Every word of a dictionary, used by a row or not; all values of a plain column."""
    whole = column.combine_chunks()
    return whole.dictionary if pa.types.is_dictionary(whole.type) else whole.drop_null()


def text_ranks(words: pa.Array) -> Ints:
    """(codes,): rank of each code's word in the order of the texts; 0 for code 0 (null)."""
    rank = np.zeros(len(words) + 1, np.int64)
    rank[np.asarray(pc.sort_indices(words)) + 1] = np.arange(1, len(words) + 1)
    return rank

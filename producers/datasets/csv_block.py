"""Texts of a CSV file turned into values, column by column; the first that cannot be is named by its line."""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_AMOUNT_CENTS, MAX_TIME_MS
from producers.datasets.layout import Batch, events_table

_ID: Final = r"^[!-~]{1,64}$"
_WHOLE: Final = r"^-?[0-9]{1,18}$"
_PLAIN_DECIMAL: Final = r"^-?[0-9]{1,15}(\.[0-9]+)?$"
_KEPT_DECIMALS: Final = r"(\.[0-9]{12})[0-9]+"
"""Cutting after twelve never moves a value across a half cent."""
_POWER_OF_TEN: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?[eE][-+]?[0-9]{1,2}", re.ASCII)
_CENT: Final = Decimal("0.01")


class CsvBlock:
    """Some consecutive rows of a file, every value still the text that stands there."""

    def __init__(self, layout: str, path: Path, first_line: int, texts: pa.RecordBatch) -> None:
        self.layout = layout
        self.path = path
        self.first_line = first_line
        self._texts = texts

    def __len__(self) -> int:
        return int(self._texts.num_rows)

    @property
    def lines(self) -> NDArray[np.int64]:
        """The line of each row; the header is line 1."""
        return np.arange(self.first_line, self.first_line + len(self), dtype=np.int64)

    def texts(self, name: str) -> pa.StringArray:
        """A column as it stands."""
        return self._texts.column(name)

    def refuse(self, name: str, bad: NDArray[np.bool_], why: str) -> None:
        """Raise for the first bad row.

        Raises:
            FraudsimError: there is one; the message names file, line, column and value.
        """
        rows = np.flatnonzero(bad)
        if len(rows):
            row = int(rows[0])
            value = self.texts(name)[row].as_py()
            if value == name:
                why = "is the header again: files were joined with their headers"
            elif value == "":
                why = "is missing"
            raise FraudsimError(
                f"{self.layout} {self.path}: line {self.first_line + row}: {name}={value!r} {why}"
            )

    def ids(self, name: str) -> pa.StringArray:
        """Ids as they stand."""
        return self.as_ids(name, self.texts(name))

    def names(self, name: str) -> pa.StringArray:
        """Names as ids: a blank is written `_`."""
        return self.as_ids(name, pc.replace_substring(self.texts(name), " ", "_"))

    def as_ids(self, name: str, ids: pa.StringArray) -> pa.StringArray:
        """Ids made from a column, refused by that column's text."""
        fits = np.asarray(pc.match_substring_regex(ids, _ID))
        self.refuse(name, ~fits, "is not an id of 1 to 64 printable characters")
        return ids

    def integers(self, name: str, low: int, high: int) -> NDArray[np.int64]:
        """Whole numbers from `low` to `high`."""
        texts = self.texts(name)
        whole = np.asarray(pc.match_substring_regex(texts, _WHOLE))
        self.refuse(name, ~whole, "is not a whole number")
        values = texts.cast(pa.int64()).to_numpy(zero_copy_only=False)
        self.refuse(name, (values < low) | (values > high), f"is not between {low} and {high}")
        return values

    def numbers(self, name: str, low: float, high: float) -> NDArray[np.float64]:
        """Numbers from `low` to `high`."""
        values = self._cast(name, self.texts(name), pa.float64(), "is not a number")
        found = values.to_numpy(zero_copy_only=False)
        self.refuse(name, ~((found >= low) & (found <= high)), f"is not between {low} and {high}")
        return found

    def cents(self, name: str, symbol: str = "") -> NDArray[np.int64]:
        """Amounts of money, below zero too, after a currency's symbol; to the nearest cent, halves up.

        By decimal arithmetic: 37.098 are 3710 cents, and 1.005 are 101, whatever their floats say.
        """
        texts = self.texts(name)
        if symbol:
            marked = pc.starts_with(texts, symbol)
            self.refuse(name, ~np.asarray(marked), f"does not start with {symbol}")
            texts = pc.utf8_slice_codeunits(texts, len(symbol))
        plain = pc.match_substring_regex(texts, _PLAIN_DECIMAL)
        cut = pc.replace_substring_regex(texts, _KEPT_DECIMALS, r"\1")
        exact = pc.if_else(plain, cut, "0").cast(pa.decimal128(27, 12))
        rounded = pc.round(exact, 2, "half_towards_infinity").cast(pa.decimal128(27, 2))
        cents = pc.multiply(rounded, pa.scalar(Decimal(100), pa.decimal128(3, 0))).cast(pa.int64())
        found = np.array(cents.to_numpy(zero_copy_only=False))
        for row in np.flatnonzero(~np.asarray(plain)).tolist():
            value = _cents(texts[row].as_py())
            if value is None:
                self.refuse(name, np.arange(len(self)) == row, "is not an amount")
            else:
                found[row] = value
        return found

    def times_ms(self, name: str) -> NDArray[np.int64]:
        """ISO 8601 times without zone, taken as UTC; ms."""
        return self.as_times_ms(name, self.texts(name))

    def as_times_ms(self, name: str, texts: pa.StringArray) -> NDArray[np.int64]:
        """Times made from a column, refused by that column's text."""
        times = self._cast(name, texts, pa.timestamp("us"), "is not a time like 2019-01-31 23:59:59")
        ts = times.cast(pa.int64()).to_numpy(zero_copy_only=False) // 1000
        self.refuse(name, (ts < 0) | (ts > MAX_TIME_MS), "is not between 1970 and 9999")
        return ts

    def flags(self, name: str, no: str, yes: str) -> NDArray[np.bool_]:
        """A column of two words."""
        texts = self.texts(name)
        is_yes = np.asarray(pc.equal(texts, yes))
        self.refuse(name, ~(is_yes | np.asarray(pc.equal(texts, no))), f"is neither {no} nor {yes}")
        return is_yes

    def choices(self, name: str, meaning: Mapping[str, str | None]) -> pa.DictionaryArray:
        """What each of a few words means."""
        index = pc.index_in(self.texts(name), value_set=pa.array(list(meaning)))
        self.refuse(name, np.asarray(pc.is_null(index)), f"is none of {', '.join(meaning)}")
        return pa.array(list(meaning.values()), pa.string()).take(index).dictionary_encode()

    def batch(
        self,
        money: str,
        columns: Mapping[str, pa.Array | NDArray[np.int64] | NDArray[np.float64]],
        is_fraud: NDArray[np.bool_],
        typology: pa.Array | None = None,
    ) -> Batch:
        """These rows as events, without those whose amount (of the column `money`) no event can carry.

        An authorisation is for nothing or more, up to the limit of `fraudsim.log.events.AmountCents`. Where
        there is no `tx_id`, the number of the line is one.
        """
        given = {"tx_id": pa.array(self.lines).cast(pa.string()), **columns}
        arrays = {name: pa.array(column) for name, column in given.items()}
        for name in ("card_id", "merchant_id", "device_id"):
            if name in arrays:
                arrays[name] = arrays[name].dictionary_encode()
        cents = arrays["amount_cents"].to_numpy()
        below, over = cents < 0, cents > MAX_AMOUNT_CENTS
        reasons = {f"{money} below 0": below, f"{money} over {MAX_AMOUNT_CENTS // 100}": over}
        dropped = {reason: int(rows.sum()) for reason, rows in reasons.items() if rows.any()}
        transactions, lines = events_table(arrays, len(self)), self.lines
        if dropped:
            kept = ~(below | over)
            mask = pa.array(kept)
            transactions, lines, is_fraud = transactions.filter(mask), lines[kept], is_fraud[kept]
            typology = None if typology is None else typology.filter(mask)
        return Batch(transactions, is_fraud, typology, lines, dropped)

    def _cast(self, name: str, texts: pa.StringArray, kind: pa.DataType, why: str) -> pa.Array:
        try:
            return texts.cast(kind)
        except pa.ArrowException:
            pass
        self.refuse(name, np.array([not _casts(text, kind) for text in texts]), why)
        raise FraudsimError(f"{self.layout} {self.path}: column {name} cannot be read as {kind}")


def _cents(text: str) -> int | None:
    """Of an amount written as 1e-05; None if it is none, or 10^15 and more."""
    if _POWER_OF_TEN.fullmatch(text) is None or abs(Decimal(text)) >= 10**15:
        return None
    return int(Decimal(text).quantize(_CENT, ROUND_HALF_UP) * 100)


def _casts(text: pa.StringScalar, kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowException:
        return False
    return True

"""A block of CSV rows, parsed column by column; an error names the line of the first bad value."""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_AMOUNT_CENTS, MAX_TIME_MS
from producers.datasets.id_texts import id_faults
from producers.datasets.layout import Batch, events_table

_WHOLE: Final = r"^-?[0-9]{1,18}$"
_CLOCK: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?$"
_DATE_AND_CLOCK: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-2][0-9]:[0-5][0-9]"
_PLAIN_DECIMAL: Final = r"^-?[0-9]{1,15}(\.[0-9]+)?$"
_KEPT_DECIMALS: Final = r"(\.[0-9]{12})[0-9]+"
"""Cutting decimals after the twelfth never moves a value across half a cent."""
_POWER_OF_TEN: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?[eE][-+]?[0-9]{1,2}", re.ASCII)
_CENT: Final = Decimal("0.01")


class CsvBlock:
    """Consecutive rows of a file, as texts. Methods that parse raise `FraudsimError` for a bad value."""

    def __init__(self, layout: str, path: Path, first_line: int, texts: pa.RecordBatch) -> None:
        self.layout = layout
        self.path = path
        self.first_line = first_line
        self._texts = texts

    def __len__(self) -> int:
        return int(self._texts.num_rows)

    @property
    def lines(self) -> Ints:
        """The line number of each row, shape (n,); the header is line 1."""
        return np.arange(self.first_line, self.first_line + len(self), dtype=np.int64)

    def texts(self, name: str) -> pa.StringArray:
        """A column as it is in the file."""
        return self._texts.column(name)

    def refuse(self, name: str, bad: Flags, reason: str) -> None:
        """Raise an error if any row of the mask `bad`, shape (n,), is set.

        Raises:
            FraudsimError: names file, line, column and value of the first bad row, and the reason.
        """
        rows = np.flatnonzero(bad)
        if len(rows):
            row = int(rows[0])
            value = self.texts(name)[row].as_py()
            if value == name:
                reason = "is the header again: files were joined with their headers"
            elif value == "":
                reason = "is missing"
            raise FraudsimError(
                f"{self.layout} {self.path}: line {self.first_line + row}: {name}={value!r} {reason}"
            )

    def ids(self, name: str) -> pa.StringArray:
        """Ids as they are in the file."""
        return self.check_ids(name, self.texts(name))

    def names(self, name: str) -> pa.StringArray:
        """Names as ids: blanks become `_`."""
        return self.check_ids(name, pc.replace_substring(self.texts(name), " ", "_"))

    def check_ids(self, name: str, ids: pa.StringArray) -> pa.StringArray:
        """Ids derived from a column; an error names the column's text."""
        for faults, reason in id_faults(ids):
            self.refuse(name, faults, reason)
        return ids

    def integers(self, name: str, low: int, high: int) -> Ints:
        """Whole numbers from `low` to `high`."""
        texts = self.texts(name)
        whole = np.asarray(pc.match_substring_regex(texts, _WHOLE))
        self.refuse(name, ~whole, "is not a whole number")
        values = texts.cast(pa.int64()).to_numpy(zero_copy_only=False)
        self.refuse(name, (values < low) | (values > high), f"is not between {low} and {high}")
        return values

    def numbers(self, name: str, low: float, high: float) -> Doubles:
        """Numbers from `low` to `high`."""
        values = self._cast(name, self.texts(name), pa.float64(), "is not a number")
        array = values.to_numpy(zero_copy_only=False)
        self.refuse(name, ~((array >= low) & (array <= high)), f"is not between {low} and {high}")
        return array

    def cents(self, name: str, symbol: str = "") -> Ints:
        """Amounts of money, also negative, to the nearest cent, halves away from zero.

        By decimal arithmetic: 37.098 is 3710 cents and 1.005 is 101, whatever their floats are.

        Args:
            symbol: the currency symbol that every amount starts with.
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
        array = np.array(cents.to_numpy(zero_copy_only=False))
        for row in np.flatnonzero(~np.asarray(plain)).tolist():
            value = _exponent_cents(texts[row].as_py())
            if value is None:
                self.refuse(name, np.arange(len(self)) == row, "is not an amount")
            else:
                array[row] = value
        return array

    def times_ms(self, name: str, time_of_day: str | None = None) -> Ints:
        """ISO 8601 times without zone, taken as UTC; ms.

        Args:
            time_of_day: the column of times such as 23:59:59, if `name` holds the date only.
        """
        texts = self.texts(name)
        if time_of_day is not None:
            clock = np.asarray(pc.match_substring_regex(self.texts(time_of_day), _CLOCK))
            self.refuse(time_of_day, ~clock, "is not a time like 23:59:59")
            texts = pc.binary_join_element_wise(texts, self.texts(time_of_day), " ")
        reason = "is not a " + (
            "time like 2019-01-31 23:59:59" if time_of_day is None else "date like 2019-01-31"
        )
        # A date alone would be midnight: the time of day was lost.
        self.refuse(name, ~np.asarray(pc.match_substring_regex(texts, _DATE_AND_CLOCK)), reason)
        times = self._cast(name, texts, pa.timestamp("us"), reason)
        ts = times.cast(pa.int64()).to_numpy(zero_copy_only=False) // 1000
        self.refuse(name, (ts < 0) | (ts > MAX_TIME_MS), "is not between 1970 and 9999")
        return ts

    def flags(self, name: str, no: str, yes: str) -> Flags:
        """A column of two words, as whether it is `yes`."""
        texts = self.texts(name)
        is_yes = np.asarray(pc.equal(texts, yes))
        self.refuse(name, ~(is_yes | np.asarray(pc.equal(texts, no))), f"is neither {no} nor {yes}")
        return is_yes

    def choices(self, name: str, meaning: Mapping[str, str | None]) -> pa.DictionaryArray:
        """A column of a few words, each replaced by its meaning."""
        index = pc.index_in(self.texts(name), value_set=pa.array(list(meaning)))
        self.refuse(name, np.asarray(pc.is_null(index)), f"is none of {', '.join(meaning)}")
        return pa.array(list(meaning.values()), pa.string()).take(index).dictionary_encode()

    def batch(
        self,
        money: str,
        columns: Mapping[str, pa.Array | Ints | Doubles],
        is_fraud: Flags,
        typology: pa.Array | None = None,
    ) -> Batch:
        """These rows as events, without those whose amount is not valid in an event.

        An authorisation is for 0 or more, up to the limit of `fraudsim.log.events.AmountCents`. Without a
        `tx_id` the line number becomes one.

        Args:
            money: the file's column of amounts, for the reasons in `Batch.dropped`.
            columns: event fields by name, each of shape (n,).
            is_fraud: shape (n,).
            typology: see `Batch.typology`.
        """
        columns = {"tx_id": pa.array(self.lines).cast(pa.string()), **columns}
        arrays = {name: pa.array(column) for name, column in columns.items()}
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

    def _cast(self, name: str, texts: pa.StringArray, kind: pa.DataType, reason: str) -> pa.Array:
        try:
            return texts.cast(kind)
        except pa.ArrowException:
            pass
        self.refuse(name, np.array([not _is_castable(text, kind) for text in texts]), reason)
        raise FraudsimError(f"{self.layout} {self.path}: column {name} cannot be read as {kind}")


def _exponent_cents(text: str) -> int | None:
    """Cents of an amount such as 1e-05; None if it is not one, or is 10^15 or more."""
    if _POWER_OF_TEN.fullmatch(text) is None or abs(Decimal(text)) >= 10**15:
        return None
    return int(Decimal(text).quantize(_CENT, ROUND_HALF_UP) * 100)


def _is_castable(text: pa.StringScalar, kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowException:
        return False
    return True

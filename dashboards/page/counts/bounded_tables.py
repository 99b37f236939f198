"""Tables that forget their oldest entries. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeVar

V = TypeVar("V")


def remember(table: OrderedDict[str, V], key: str, value: V, most: int) -> None:
    """Add or replace an entry; of more than `most`, the oldest is forgotten."""
    table[key] = value
    if len(table) > most:
        table.popitem(last=False)


def remember_all(table: OrderedDict[str, V], entries: Iterable[tuple[str, V]], most: int) -> None:
    """As `remember` of each."""
    table.update(entries)
    while len(table) > most:
        table.popitem(last=False)

"""The feature reader of a line with a lag: state as of `now - lag`, and the transaction at hand."""

import math
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Label, LogPrefix, Segment, Transaction
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from stream_features.lagged.lagged_events import LaggedEvents
from stream_features.lagged.lagged_log import LaggedLog
from stream_features.offline.history_tables import history_fingerprint, read_history_tables
from stream_features.online.reader import Reading, StateSnapshot
from stream_features.store.prime import check_history, state_of_history
from stream_features.vector import keys_of, vector

E = TypeVar("E", bound=msgspec.Struct)


class LaggedReader:
    """Reads features from this process's own state, which takes in an event when it is `lag_ms` old.

    It asks neither Redis nor the unfolded log, and does not count what HTTP has in flight.
    """

    def __init__(self, log: LaggedLog, settings: Settings, clock_log: ClockLog) -> None:
        self._log = log
        self._lag_ms = settings.features_lag_ms
        self._partitions, self._slots = settings.partitions, settings.slots
        self._clock = clock_log.clock

    def fetch_state(
        self, transactions: Sequence[Transaction], linger_s: float = 0.0
    ) -> Coroutine[Any, Any, StateSnapshot]:
        """Nothing is fetched; see `FeatureReader.fetch_state`."""
        return _snapshot()

    async def readings(
        self,
        transactions: Sequence[Transaction],
        state: StateSnapshot,
        *,
        http: bool = False,
        until_s: float = math.inf,
    ) -> list[Reading]:
        """Features of each transaction at its own ts, from events before that ts less the lag."""
        return [self._reading(tx, state.read_us) for tx in transactions]

    def _reading(self, tx: Transaction, read_us: int) -> Reading:
        until_ms = tx.ts - self._lag_ms
        answerable = until_ms >= self._log.events.answers_from_ms
        keys = keys_of(tx)
        states = {key[0]: self._log.events.state(key, until_ms) for key in keys} if answerable else {}
        ends = list(self._log.ends)
        folded = ends[: self._partitions]
        speed = self._clock.current.speed
        return Reading(
            features=vector(tx, states, self._clock.horizon_ms)[0],
            prefix=LogPrefix(
                slots={str(slot_of(*key, self._slots)): ends for key in keys},
                tail_from=[end + 1 for end in folded],
                tail_to=folded,
            ),
            staleness_ms=self._lag_ms / speed if speed else 0.0,
            read_us=read_us,
            stale=not (answerable and self._log.has_read(until_ms)),
            uncertain=not answerable,
            lag_ms=self._lag_ms,
        )


async def _snapshot() -> StateSnapshot:
    return StateSnapshot(time.time_ns() // 1000, (), {}, {})


def open_lagged_reader(settings: Settings, clock_log: ClockLog) -> tuple[LaggedReader, LaggedLog]:
    """A reader with the lag of the settings, and its log, which must be started.

    Raises:
        FraudsimError: the log's history cannot be read.
    """
    events = _history_events(clock_log.clock.first, settings.features_lag_ms)
    log = LaggedLog(settings, clock_log, events, settings.features_lag_ms)
    return LaggedReader(log, settings, clock_log), log


def _history_events(segment: Segment, lag_ms: int) -> LaggedEvents:
    """The history: as states up to the earliest time that will be asked for, then as events."""
    if not segment.history_fingerprint:
        return LaggedEvents({}, segment.horizon_ms)
    folder = Path(segment.history)
    if not folder.is_dir():
        raise FraudsimError(
            f"features_lag needs the log's history, and {folder} does not exist here: mount it, or set "
            "FRAUDSIM_FEATURES_LAG=0s"
        )
    check_history(history_fingerprint(folder), segment)
    transactions, labels = read_history_tables(folder)
    until_ms = segment.event_epoch_ms - lag_ms - segment.past_ms
    early = pc.less(transactions["ts"], until_ms)
    base = state_of_history(transactions.filter(early), labels, until_ms, segment.horizon_ms)
    events = LaggedEvents(base, segment.horizon_ms, until_ms)
    for tx in _structs(transactions.filter(pc.invert(early)), Transaction):
        events.add_transaction(tx)
    is_late = pc.and_(
        pc.greater_equal(labels["known_at"], until_ms), pc.less(labels["known_at"], segment.event_epoch_ms)
    )
    for label in _structs(labels.filter(is_late), Label):
        events.add_label(label)
    return events


def _structs(table: pa.Table, event: type[E]) -> Iterator[E]:
    names = [f.name for f in msgspec.structs.fields(event) if f.name in table.column_names]
    for row in table.select(names).to_pylist():
        yield event(**{name: value for name, value in row.items() if value is not None})

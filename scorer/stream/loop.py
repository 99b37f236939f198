"""The stream scorer: decides its share of `transactions` in source order, resumes from `decisions`."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from fraudsim import metrics
from fraudsim.log import headers as h
from fraudsim.log.acceptance import Rejected
from fraudsim.log.events import Decision, Transaction, decode_decision, encoder
from fraudsim.log.topics import DECISIONS, TRANSACTIONS
from fraudsim.settings import Settings
from scorer.decide import Ahead, Decider, Incoming
from scorer.observe import observe
from scorer.stream.resumption import last_decided
from stream_features.online.log_reader import LogReader
from stream_features.online.reader import FeatureReader

GROUP: Final = "scorers"
MAX_BATCH: Final = 256
MAX_UNACKED: Final = 5_000
MAX_TODO: Final = 20_000
"""Transactions of one partition held for deciding; what comes beyond that is read again later."""
AHEAD_S: Final = 0.2
"""A state that was asked for longer ago, as before a wait for the broker, is read again: by the next pruning
but one the tail may not reach back to it."""
LOOK_EVERY_S: Final = 0.01


@dataclass(slots=True)
class _Todo:
    incoming: Incoming
    given: bytes | None
    """The decision that HTTP gave, as it stands in the record's header."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is decided together."""

    todo: list[_Todo]
    fresh: list[Incoming]
    """Those that HTTP has not decided."""
    ahead: Ahead | None
    """The reading of their state, which began when they were taken up."""
    taken_s: float
    term: int
    """In which they were taken up."""


class StreamScorer(ConsumerRebalanceListener):
    """A member of the scorers' group: its own partitions are decided, the others only read into the tail."""

    def __init__(
        self,
        settings: Settings,
        decider: Decider,
        reader: FeatureReader,
        producer: Any,
        log: Any,
        afterwards: Callable[[Transaction, Decision], None],
    ) -> None:
        """`afterwards` is told of each decision that was made here and has gone out."""
        self._settings = settings
        self._decider = decider
        self._reader = reader
        self._producer = producer
        self._log = log
        self._afterwards = afterwards
        self._decided: dict[int, int] = {}
        """Last source offset decided, by partition this process decides for."""
        self._taken: dict[int, int] = {}
        """Last source offset taken up to be decided, by the same."""
        self._todo: dict[int, deque[_Todo]] = {}
        self._left_out: dict[int, int] = {}
        """First offset that found no room in a partition's todo; all after it are left out too."""
        self._rejected_to: dict[int, int] = {}
        """Last offset counted as rejected, by partition: some are told of again."""
        self._term = 0
        """Counts the revocations: what was taken up in an earlier term is not published in this one."""
        self._arrived = asyncio.Event()
        self._assigned: set[int] = set()
        self._changed = asyncio.Event()
        self._unacked: deque[Any] = deque()
        self._member: Any = None
        self.log_reader: LogReader
        self.speed = 0.0

    # What the log reader tells

    def on_record(self, record: Any, event: Transaction | Rejected, received_us: int) -> None:
        """A record of `transactions` was read, of whatever partition."""
        partition, offset = record.partition, record.offset
        self._reader.in_flight.read_back(partition, event.tx_id)
        if isinstance(event, Rejected):
            if offset > self._rejected_to.get(partition, -1):
                self._rejected_to[partition] = offset
                metrics.TRANSACTIONS.labels("decided", event.kind).inc()
            return
        last = self._taken.get(partition)
        if last is None or offset <= last or partition in self._left_out:
            return
        todo = self._todo[partition]
        if len(todo) >= MAX_TODO:
            self._left_out[partition] = offset
            return
        given = h.header(record.headers, h.DECISION)
        todo.append(_Todo(Incoming(event, received_us, partition, offset), given))
        self._taken[partition] = offset
        self._arrived.set()

    # Group membership: Kafka's protocol says which partitions are decided here

    async def start(self) -> None:
        self._member = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            group_id=GROUP,
            group_instance_id=self._settings.scorer_name,
            client_id=self._settings.scorer_name,
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=self._settings.session_timeout_ms // 5,
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        self._member.subscribe([TRANSACTIONS], listener=self)
        await self._member.start()

    async def pass_on(self, within_s: float) -> None:
        """Wait, so long at most, until what HTTP decided is in `decisions`, as far as that is ours to do."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await _until(lambda: not len(self._reader.in_flight) and self._assigned == self._taken.keys())
                read_to = list(self.log_reader.read_offsets)  # some of it may be on its way to us again
                await _until(lambda: all(self.log_reader.has_delivered(p, read_to[p]) for p in self._taken))
                taken = dict(self._taken)
                await _until(lambda: all(self._decided.get(p, last) >= last for p, last in taken.items()))

    async def stop(self) -> None:
        """Leave the group, once what was decided is acknowledged: whoever takes over goes on after it."""
        try:
            await self._settle(0)
        finally:
            await self._member.stop()

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._term += 1
        self._assigned.clear()
        self._decided.clear()
        self._taken.clear()
        self._todo.clear()
        self._left_out.clear()

    def on_partitions_assigned(self, assigned: Any) -> None:
        # The group only says who decides what; the records come through the log reader.
        self._member.pause(*assigned)
        self._assigned = {tp.partition for tp in assigned}
        self._changed.set()

    async def keep_membership(self) -> None:
        """Stay in the group, and on every change find out where each partition goes on."""
        while True:
            await self._member.getmany(timeout_ms=500)
            if self._changed.is_set():
                self._changed.clear()
                await self._resume()

    async def _resume(self) -> None:
        term = self._term
        if self._unacked:
            await asyncio.wait(self._unacked)  # else what was sent before a revocation would not be found
        gained = sorted(self._assigned - self._decided.keys())
        found = await last_decided(self._settings.kafka_bootstrap, gained, self._log)
        if term != self._term:
            return  # another may have decided since: the assignment that follows looks again
        for partition, last in found.items():
            self._own(partition, last)
            self.log_reader.redeliver_from(partition, last + 1)
            self._log.info("partition_resumed", partition=partition, after_offset=last)

    def _own(self, partition: int, last: int) -> None:
        self._todo[partition] = deque()
        self._decided[partition] = self._taken[partition] = last

    # Deciding

    async def run(self) -> None:
        """Decide for ever, in source order within each partition."""
        batch = await self._next_batch()
        while True:
            decisions = await self._decide(batch)
            following = self._take()  # its state is asked for while these are sent
            for todo, decision in zip(batch.todo, decisions, strict=True):
                sent = await self._publish(todo.incoming, decision, batch.term)
                if sent and todo.given is None:
                    self._afterwards(todo.incoming.tx, decision)
            await self._settle(MAX_UNACKED)
            if self._left_out:
                self._fetch_left_out()
            batch = following or await self._next_batch()

    async def _next_batch(self) -> _Batch:
        """Wait for something to decide."""
        while True:
            await self._arrived.wait()
            if not self.log_reader.filled:
                await asyncio.sleep(0.005)
                continue
            batch = self._take()
            if batch is not None:
                return batch
            self._arrived.clear()

    def _take(self) -> _Batch | None:
        """What is to be decided next, its state asked for; None where there is nothing."""
        taken: list[_Todo] = []
        for todo in self._todo.values():
            while todo and len(taken) < MAX_BATCH:
                taken.append(todo.popleft())
        if not taken:
            return None
        fresh = [todo.incoming for todo in taken if todo.given is None]
        ahead = self._decider.prefetch([incoming.tx for incoming in fresh]) if fresh else None
        return _Batch(taken, fresh, ahead, time.monotonic(), self._term)

    def _fetch_left_out(self) -> None:
        """Have what found no room told again, where all before it is taken up."""
        for partition, offset in list(self._left_out.items()):
            if not self._todo[partition]:
                del self._left_out[partition]
                self.log_reader.redeliver_from(partition, offset)

    async def _decide(self, batch: _Batch) -> list[Decision]:
        """A decision for each: HTTP's own where it gave one, else made here, degraded without state."""
        ahead = batch.ahead if time.monotonic() - batch.taken_s < AHEAD_S else None
        made = iter(await self._decider.decide(batch.fresh, ahead=ahead) if batch.fresh else [])
        decisions = []
        for todo in batch.todo:
            if todo.given is None:
                decision = next(made)
                observe(decision, self.speed)
            else:
                decision = msgspec.structs.replace(
                    decode_decision(todo.given),
                    source_partition=todo.incoming.partition,
                    source_offset=todo.incoming.offset,
                )
            decisions.append(decision)
        return decisions

    async def _publish(self, incoming: Incoming, decision: Decision, term: int) -> bool:
        """Send a decision, unless it is another's to make by now; says whether."""
        if term != self._term or incoming.offset <= self._decided[incoming.partition]:
            return False  # revoked meanwhile: its next owner decides, be it this one, from where it resumes
        self._decided[incoming.partition] = incoming.offset
        self._unacked.append(
            await self._producer.send(
                DECISIONS,
                value=encoder.encode(decision),
                key=decision.card_id.encode(),
                partition=incoming.partition,
            )
        )
        return True

    async def _settle(self, allowed: int) -> None:
        """See that what was sent is acknowledged; at most `allowed` may still be under way."""
        while self._unacked and (self._unacked[0].done() or len(self._unacked) > allowed):
            if not self._unacked[0].done():
                # Not awaited itself: a stop while waiting here would cancel it, and forget it.
                await asyncio.wait([self._unacked[0]])
            self._unacked.popleft().result()


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  what it waits for changes in many places
        await asyncio.sleep(LOOK_EVERY_S)

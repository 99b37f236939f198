"""The stream scorer: decides its share of `transactions` in source order, resumes from `decisions`."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRebalanceListener

from fraudsim import metrics
from fraudsim.log import headers as h
from fraudsim.log.acceptance import Rejected
from fraudsim.log.events import Decision, Transaction, decode_decision, encoder
from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings
from scorer.decide import Decider, Incoming
from scorer.observe import observe
from scorer.stream.batch import DecisionBatch, QueuedTransaction
from scorer.stream.group import group_member
from scorer.stream.resumption import last_decided
from stream_features.online.log_reader import LogReader
from stream_features.online.reader import FeatureReader

MAX_BATCH: Final = 256
MAX_UNACKED: Final = 5_000
MAX_BACKLOG: Final = 20_000
"""Transactions of one partition that wait to be decided; those beyond are read again later."""
PREFETCH_VALID_S: Final = 0.2
"""State prefetched longer ago, as before a wait for the broker, is read again: by the next pruning but one,
the unfolded log may no longer reach back to it."""
POLL_S: Final = 0.01


class StreamScorer(ConsumerRebalanceListener):
    """A member of the scorers' group. Decides its own partitions; the log reader reads all of them."""

    def __init__(
        self,
        settings: Settings,
        decider: Decider,
        reader: FeatureReader,
        producer: Any,
        log: Any,
        on_decided: Callable[[Transaction, Decision], None],
    ) -> None:
        """`on_decided` is called with each decision that was made here and has been sent."""
        self._settings = settings
        self._decider = decider
        self._reader = reader
        self._producer = producer
        self._log = log
        self._on_decided = on_decided
        self._decided_to: dict[int, int] = {}
        """Last source offset decided, by partition that this process decides."""
        self._queued_to: dict[int, int] = {}
        """Last source offset put into the backlog, by the same partitions."""
        self._backlog: dict[int, deque[QueuedTransaction]] = {}
        self._skipped_from: dict[int, int] = {}
        """First offset that found a partition's backlog full; all after it are skipped too."""
        self._rejected_to: dict[int, int] = {}
        """Last offset counted as rejected, by partition: some records are delivered again."""
        self._revocations = 0
        """A batch taken before a revocation is not published after it."""
        self._arrived = asyncio.Event()
        self._assigned: set[int] = set()
        self._assignment_changed = asyncio.Event()
        self._unacked: deque[Any] = deque()
        self._member: Any = None
        self.log_reader: LogReader
        self.speed = 0.0

    # Records from the log reader

    def on_record(self, record: Any, event: Transaction | Rejected, received_us: int) -> None:
        """Take a record of `transactions`, of any partition."""
        partition, offset = record.partition, record.offset
        self._reader.in_flight.read_back(partition, event.tx_id)
        if isinstance(event, Rejected):
            if offset > self._rejected_to.get(partition, -1):
                self._rejected_to[partition] = offset
                metrics.TRANSACTIONS.labels("decided", event.kind).inc()
            return
        queued_to = self._queued_to.get(partition)
        if queued_to is None or offset <= queued_to or partition in self._skipped_from:
            return
        backlog = self._backlog[partition]
        if len(backlog) >= MAX_BACKLOG:
            self._skipped_from[partition] = offset
            return
        http_decision = h.header(record.headers, h.DECISION)
        backlog.append(QueuedTransaction(Incoming(event, received_us, partition, offset), http_decision))
        self._queued_to[partition] = offset
        self._arrived.set()

    # Group membership: which partitions are decided here

    async def start(self) -> None:
        # Set before it starts: the first assignment may arrive before `start` returns.
        self._member = group_member(self._settings, self)
        await self._member.start()

    async def await_http_decisions(self, timeout_s: float) -> None:
        """Wait until the decisions that HTTP made for own partitions are in `decisions`, or `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await _until(
                    lambda: not len(self._reader.in_flight) and self._assigned == self._queued_to.keys()
                )
                read_offsets = list(
                    self.log_reader.read_offsets
                )  # records up to here may still be delivered again
                await _until(
                    lambda: all(self.log_reader.has_delivered(p, read_offsets[p]) for p in self._queued_to)
                )
                queued_to = dict(self._queued_to)
                await _until(
                    lambda: all(self._decided_to.get(p, last) >= last for p, last in queued_to.items())
                )

    async def stop(self) -> None:
        """Leave the group once all sent decisions are acknowledged: the next owner resumes after them."""
        try:
            await self._await_acks(0)
        finally:
            await self._member.stop()

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._revocations += 1
        self._assigned.clear()
        self._decided_to.clear()
        self._queued_to.clear()
        self._backlog.clear()
        self._skipped_from.clear()

    def on_partitions_assigned(self, assigned: Any) -> None:
        # The group only assigns partitions; the records come through the log reader.
        self._member.pause(*assigned)
        self._assigned = {tp.partition for tp in assigned}
        self._assignment_changed.set()

    async def keep_membership(self) -> None:
        """Stay in the group; after every change of assignment, find where each partition resumes."""
        while True:
            await self._member.getmany(timeout_ms=500)
            if self._assignment_changed.is_set():
                self._assignment_changed.clear()
                await self._resume()

    async def _resume(self) -> None:
        revocations = self._revocations
        if self._unacked:
            await asyncio.wait(self._unacked)  # else decisions sent before a revocation would be missed
        gained = sorted(self._assigned - self._decided_to.keys())
        last_offsets = await last_decided(self._settings.kafka_bootstrap, gained, self._log)
        if revocations != self._revocations:
            return  # another scorer may have decided since; the next assignment looks again
        for partition, last_offset in last_offsets.items():
            self._start_partition(partition, last_offset)
            self.log_reader.redeliver_from(partition, last_offset + 1)
            self._log.info("partition_resumed", partition=partition, after_offset=last_offset)

    def _start_partition(self, partition: int, last_offset: int) -> None:
        self._backlog[partition] = deque()
        self._decided_to[partition] = self._queued_to[partition] = last_offset

    # Deciding

    async def run(self) -> None:
        """Decide for ever, in source order within each partition."""
        batch = await self._await_batch()
        while True:
            decisions = await self._decisions(batch)
            next_batch = self._take_batch()  # its state is read while these decisions are sent
            for queued, decision in zip(batch.queued, decisions, strict=True):
                sent = await self._publish(queued.incoming, decision, batch.revocations)
                if sent and queued.http_decision is None:
                    self._on_decided(queued.incoming.tx, decision)
            await self._await_acks(MAX_UNACKED)
            if self._skipped_from:
                self._reread_skipped()
            batch = next_batch or await self._await_batch()

    async def _await_batch(self) -> DecisionBatch:
        while True:
            await self._arrived.wait()
            if not self.log_reader.filled:
                await asyncio.sleep(0.005)
                continue
            batch = self._take_batch()
            if batch is not None:
                return batch
            self._arrived.clear()

    def _take_batch(self) -> DecisionBatch | None:
        """The next transactions of the backlog, with their state prefetched; None where there are none."""
        queued: list[QueuedTransaction] = []
        for backlog in self._backlog.values():
            while backlog and len(queued) < MAX_BATCH:
                queued.append(backlog.popleft())
        if not queued:
            return None
        undecided = [entry.incoming for entry in queued if entry.http_decision is None]
        prefetched_state = (
            self._decider.prefetch([incoming.tx for incoming in undecided]) if undecided else None
        )
        return DecisionBatch(queued, undecided, prefetched_state, time.monotonic(), self._revocations)

    def _reread_skipped(self) -> None:
        """Have the skipped records delivered again, where the backlog before them is empty."""
        for partition, offset in list(self._skipped_from.items()):
            if not self._backlog[partition]:
                del self._skipped_from[partition]
                self.log_reader.redeliver_from(partition, offset)

    async def _decisions(self, batch: DecisionBatch) -> list[Decision]:
        """A decision for each transaction: HTTP's where there is one, else made here."""
        valid = time.monotonic() - batch.taken_s < PREFETCH_VALID_S
        prefetched_state = batch.prefetched_state if valid else None
        own_decisions = iter(
            await self._decider.decide(batch.undecided, prefetched_state=prefetched_state)
            if batch.undecided
            else []
        )
        decisions = []
        for queued in batch.queued:
            if queued.http_decision is None:
                decision = next(own_decisions)
                observe(decision, self.speed)
            else:
                decision = msgspec.structs.replace(
                    decode_decision(queued.http_decision),
                    source_partition=queued.incoming.partition,
                    source_offset=queued.incoming.offset,
                )
            decisions.append(decision)
        return decisions

    async def _publish(self, incoming: Incoming, decision: Decision, revocations: int) -> bool:
        """Send a decision, unless its partition was revoked since the batch was taken; returns whether."""
        if revocations != self._revocations or incoming.offset <= self._decided_to[incoming.partition]:
            return False  # the next owner, which may be this process, decides it from where it resumes
        self._decided_to[incoming.partition] = incoming.offset
        self._unacked.append(
            await self._producer.send(
                DECISIONS,
                value=encoder.encode(decision),
                key=decision.card_id.encode(),
                partition=incoming.partition,
            )
        )
        return True

    async def _await_acks(self, max_unacked: int) -> None:
        """Wait until at most `max_unacked` sent decisions are unacknowledged. Raises what a send raised."""
        while self._unacked and (self._unacked[0].done() or len(self._unacked) > max_unacked):
            if not self._unacked[0].done():
                # Not awaited itself: a stop while waiting here would cancel it, and forget it.
                await asyncio.wait([self._unacked[0]])
            self._unacked.popleft().result()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  it depends on state that changes in many places
        await asyncio.sleep(POLL_S)

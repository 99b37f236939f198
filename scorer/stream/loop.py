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
from scorer.context import ScorerContext
from scorer.decide import Decider, Incoming, now_us
from scorer.observe import observe
from scorer.stream.batch import DecisionBatch, QueuedTransaction
from scorer.stream.progress import PartitionProgress
from scorer.stream.resumption import DecidedOffsets, find_decided
from stream_features.online.in_flight import InFlight
from stream_features.online.log_reader import LogReader, OnRecord

MAX_BATCH: Final = 256
MAX_UNACKED: Final = 2_000
"""With one batch more, `resumption.MAX_OUT_OF_ORDER` covers all that may be unacknowledged at once."""
PREFETCH_VALID_S: Final = 0.2
"""State prefetched longer ago, as before a wait for the broker, is read again: by the next pruning but one,
the unfolded log may no longer reach back to it."""
POLL_S: Final = 0.01


class StreamScorer(ConsumerRebalanceListener):
    """A member of the scorers' group. Decides its own partitions; the log reader reads all of them."""

    def __init__(
        self,
        context: ScorerContext,
        decider: Decider,
        in_flight: InFlight,
        producer: Any,
        on_decided: Callable[[Transaction, Decision], None],
        open_log_reader: Callable[[OnRecord], LogReader],
        open_member: Callable[[ConsumerRebalanceListener], Any],
    ) -> None:
        """Make the scorer and its log reader.

        Args:
            on_decided: called with each decision that was made here and has been sent.
            open_log_reader: makes the log reader, which calls `on_record`.
            open_member: makes the member of the group; it holds the assignment only.
        """
        self._settings = context.settings
        self._clock_log = context.clock_log
        self._log = context.log
        self.topic = context.decisions_topic
        self._decider = decider
        self._in_flight = in_flight
        self._producer = producer
        self._on_decided = on_decided
        self._progress: dict[int, PartitionProgress] = {}
        """By partition that this process decides."""
        self._rejected_to: dict[int, int] = {}
        """Last offset counted as rejected, by partition: some records are delivered again."""
        self._revocations = 0
        """A batch taken before a revocation is not published after it."""
        self._arrived = asyncio.Event()
        self._assigned: set[int] = set()
        self._assignment_changed = asyncio.Event()
        self._unacked: deque[Any] = deque()
        self._member = open_member(self)
        self.log_reader = open_log_reader(self.on_record)

    # Records from the log reader

    def on_record(self, record: Any, event: Transaction | Rejected, received_us: int) -> None:
        """Take a record of `transactions`, of any partition."""
        partition, offset = record.partition, record.offset
        self._in_flight.read_back(partition, event.tx_id)
        progress = self._progress.get(partition)
        if progress is None:
            return
        if isinstance(event, Rejected):
            counted_to = self._rejected_to.get(partition, progress.decided_before.to)
            if offset > counted_to:
                self._rejected_to[partition] = offset
                metrics.TRANSACTIONS.labels("decided", event.kind).inc()
            return

        def queued() -> QueuedTransaction:
            http_decision = h.header(record.headers, h.DECISION)
            return QueuedTransaction(
                Incoming(event, received_us, partition, offset, record.timestamp * 1000), http_decision
            )

        if progress.offer(offset, queued):
            self._arrived.set()

    # Group membership: which partitions are decided here

    async def start(self) -> None:
        """Join the group."""
        await self._member.start()

    async def await_http_decisions(self, timeout_s: float) -> None:
        """Wait until the decisions that HTTP made for own partitions are in `decisions`, or `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                progress = self._progress
                await _until(lambda: not len(self._in_flight) and self._assigned == progress.keys())
                # Records up to here may still be delivered again.
                read_offsets = list(self.log_reader.read_offsets)
                await _until(lambda: all(self.log_reader.has_delivered(p, read_offsets[p]) for p in progress))
                queued_to = {partition: own.queued_to for partition, own in progress.items()}
                await _until(
                    lambda: all(own.decided_to >= queued_to.get(p, -1) for p, own in progress.items())
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
        self._progress.clear()

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
        gained = sorted(self._assigned - self._progress.keys())
        decided_by_partition = await find_decided(
            self._settings.kafka_bootstrap, gained, self._log, self._settings.features_lag_ms, self.topic
        )
        if revocations != self._revocations:
            return  # another scorer may have decided since; the next assignment looks again
        for partition, decided in decided_by_partition.items():
            self._start_partition(partition, decided)
            self.log_reader.redeliver_from(partition, decided.to + 1)
            self._log.info(
                "partition_resumed", partition=partition, after_offset=decided.to, beyond=len(decided.beyond)
            )

    def _start_partition(self, partition: int, decided: DecidedOffsets) -> None:
        self._progress[partition] = PartitionProgress(decided)

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
        for progress in self._progress.values():
            while progress.backlog and len(queued) < MAX_BATCH:
                queued.append(progress.take())
        if not queued:
            return None
        dequeued_us = now_us()
        undecided = [
            msgspec.structs.replace(entry.incoming, dequeued_us=dequeued_us)
            for entry in queued
            if entry.http_decision is None
        ]
        prefetched_state = (
            self._decider.prefetch([incoming.tx for incoming in undecided]) if undecided else None
        )
        return DecisionBatch(queued, undecided, prefetched_state, time.monotonic(), self._revocations)

    def _reread_skipped(self) -> None:
        """Have the skipped records delivered again, where the backlog before them is empty."""
        for partition, progress in self._progress.items():
            offset = progress.take_skipped()
            if offset is not None:
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
        speed = self._clock_log.clock.current.speed
        for queued in batch.queued:
            if queued.http_decision is None:
                decision = next(own_decisions)
                observe(decision, speed)
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
        if revocations != self._revocations:
            return False  # the next owner, which may be this process, decides it from where it resumes
        progress = self._progress[incoming.partition]
        if incoming.offset <= progress.decided_to:
            return False
        progress.decided_to = incoming.offset
        self._unacked.append(
            await self._producer.send(
                self.topic,
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

"""A stream scorer over fakes: a log reader, a decider and a producer that can be held up."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Decision, LogPrefix, Stamps, Transaction, decode_decision
from fraudsim.settings import Settings
from scorer.context import ScorerContext
from scorer.decide import Incoming
from scorer.stream.loop import StreamScorer
from scorer.stream.resumption import DecidedOffsets
from stream_features.online.in_flight import InFlight
from stream_features.online.log_reader import OnRecord
from stream_features.online.unfolded_log import UnfoldedLog
from testing.samples.log import make_segment


class FakeLog:
    """Keeps the event words of a structured log."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **fields: Any) -> None:
        self.events.append(event)

    warning = info


class FakeDecisionProducer:
    """Keeps (partition, source offset) of what was sent; acknowledges only while `acknowledge` is true."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.acknowledge = True
        self.acks: list[asyncio.Future[None]] = []

    async def send(self, topic: str, value: bytes, key: bytes, partition: int) -> asyncio.Future[None]:
        self.sent.append((partition, decode_decision(value).source_offset))
        ack: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.acknowledge:
            ack.set_result(None)
        self.acks.append(ack)
        return ack


class FakeMember:
    """A member of the group; keeps how many acknowledgements were outstanding when it left."""

    def __init__(self, producer: FakeDecisionProducer) -> None:
        self.producer = producer
        self.under_way_at_leaving: int | None = None

    def pause(self, *partitions: Any) -> None:
        """The records come through the log reader."""

    async def stop(self) -> None:
        self.under_way_at_leaving = sum(not ack.done() for ack in self.producer.acks)


class FakeDecider:
    """Approves everything, once `may_decide` is set."""

    def __init__(self) -> None:
        self.may_decide = asyncio.Event()
        self.may_decide.set()
        self.max_backlog = 0
        """Longest backlog of a partition seen when deciding."""
        self.scorer: StreamScorer
        self.on_decide: Callable[[], Awaitable[None]] | None = None
        self.prefetch_sizes: list[int] = []
        self.prefetched_states: list[Any] = []

    def prefetch(self, transactions: Sequence[Transaction]) -> str:
        self.prefetch_sizes.append(len(transactions))
        return f"state of {len(transactions)}"

    async def decide(
        self,
        incoming: Sequence[Incoming],
        via: str = "stream",
        until_s: float | None = None,
        prefetched_state: Any = None,
    ) -> list[Decision]:
        self.prefetched_states.append(prefetched_state)
        self.max_backlog = max(
            self.max_backlog, *(len(own.backlog) for own in self.scorer._progress.values())
        )
        if self.on_decide is not None:
            await self.on_decide()
        await self.may_decide.wait()
        return [decision(item.tx, item.partition, item.offset) for item in incoming]


class FakeLogReader:
    """Delivers all records of a log from the offsets it is told to, the last few before them again."""

    filled = True

    def __init__(self, on_record: OnRecord, sizes: Mapping[int, int], repeated: int = 3) -> None:
        self.on_record = on_record
        self.sizes = sizes
        self.next = dict.fromkeys(sizes, 0)
        self.repeated = repeated
        self.rewinds: list[tuple[int, int]] = []
        self.read_offsets = [-1] * (max(sizes) + 1)

    def has_delivered(self, partition: int, offset: int) -> bool:
        return offset < self.next[partition]

    def redeliver_from(self, partition: int, offset: int) -> None:
        self.rewinds.append((partition, offset))
        self.next[partition] = min(self.next[partition], max(0, offset - self.repeated))

    async def run(self, batch: int = 50) -> None:
        while True:
            for partition, size in self.sizes.items():
                start = self.next[partition]
                for offset in range(start, min(size, start + batch)):
                    self.next[partition] = offset + 1
                    self.on_record(record(partition, offset), transaction(offset), 0)
            await asyncio.sleep(0)


def transaction(n: int) -> Transaction:
    return Transaction(tx_id=f"t{n}", ts=n, card_id="c", amount_cents=1)


def record(partition: int, offset: int, value: bytes | None = None) -> SimpleNamespace:
    """A record as a consumer delivers it, without headers."""
    return SimpleNamespace(partition=partition, offset=offset, headers=(), value=value, timestamp=0)


def decision(tx: Transaction, partition: int = 0, offset: int = 0) -> Decision:
    """An approval of a transaction at a position in the log."""
    return Decision(
        tx_id=tx.tx_id, ts=tx.ts, card_id=tx.card_id, amount_cents=1, score=0.1, action="approve", reasons=[],
        rule_hits=[], model_version="1", policy_version="1", variant="champion",
        stamps=Stamps(intended=1, received=1, state_read=1, features=1, scored=1, decided=1),
        source_partition=partition, source_offset=offset,
        prefix=LogPrefix(slots={}, tail_from=[], tail_to=[]), staleness_ms=0.0, features=[], feature_hash="",
    )  # fmt: skip


def scorer_of(sizes: Mapping[int, int], decided_to: int = -1) -> Any:
    """A stream scorer of partitions with so many records each, which has decided up to `decided_to`.

    Its `notified_ids` are the tx_ids that `on_decided` was called with.
    """
    decider, producer, notified_ids = FakeDecider(), FakeDecisionProducer(), list[str]()
    in_flight = InFlight(UnfoldedLog(max(sizes) + 1, 1_000))
    clock_log: Any = SimpleNamespace(clock=Clock([LoggedSegment(make_segment(), 0)]))
    fakes: Any = SimpleNamespace(
        decider=decider, log_reader=lambda on_record: FakeLogReader(on_record, sizes)
    )
    scorer: Any = StreamScorer(
        ScorerContext(Settings(_env_file=None), clock_log, FakeLog()), fakes.decider, in_flight, producer,
        lambda tx, _: notified_ids.append(tx.tx_id), fakes.log_reader, lambda _: FakeMember(producer),
    )  # fmt: skip
    scorer.notified_ids = notified_ids
    decider.scorer = scorer
    assign(scorer, list(sizes), decided_to)
    return scorer


def assign(scorer: StreamScorer, partitions: Sequence[int], decided_to: int) -> None:
    """Assign partitions to the scorer, which resumes after `decided_to`."""
    for partition in partitions:
        scorer._assigned.add(partition)
        scorer._start_partition(partition, DecidedOffsets(decided_to))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, 10 s at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def offsets(scorer: Any, partition: int) -> list[int]:
    """Source offsets of the decisions sent to a partition, in order."""
    return [offset for sent_to, offset in scorer._producer.sent if sent_to == partition]

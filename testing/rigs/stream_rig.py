"""A stream scorer over fakes: a log told in full, a decider and a producer that can be held up."""

import asyncio
from types import SimpleNamespace

from fraudsim.log.events import Decision, LogPrefix, Stamps, Transaction, decode_decision
from fraudsim.settings import Settings
from scorer.stream.loop import StreamScorer
from stream_features.online.in_flight import InFlight
from stream_features.online.unfolded_log import UnfoldedLog


class Log:
    def __init__(self):
        self.events = []

    def info(self, event, **fields):
        self.events.append(event)

    warning = info


class Producer:
    """Keeps what it was given; acknowledges when it is let."""

    def __init__(self):
        self.sent = []
        self.acknowledge = True
        self.acks = []

    async def send(self, topic, value, key, partition):
        self.sent.append((partition, decode_decision(value).source_offset))
        ack = asyncio.get_running_loop().create_future()
        if self.acknowledge:
            ack.set_result(None)
        self.acks.append(ack)
        return ack


class Decider:
    def __init__(self):
        self.let = asyncio.Event()
        self.let.set()
        self.held_most = 0
        self.scorer = None
        self.on_decide = None
        self.asked_ahead = []
        self.given = []

    def prefetch(self, transactions):
        self.asked_ahead.append(len(transactions))
        return f"state of {len(transactions)}"

    async def decide(self, incoming, via="stream", until_s=None, ahead=None):
        self.given.append(ahead)
        self.held_most = max(self.held_most, *map(len, self.scorer._todo.values()))
        if self.on_decide is not None:
            await self.on_decide()
        await self.let.wait()
        return [decision(item.tx, item.partition, item.offset) for item in incoming]


class LogReader:
    """A log that is told in full, from wherever it was asked for, some of it again."""

    filled = True

    def __init__(self, scorer, sizes, again=3):
        self.scorer = scorer
        self.sizes = sizes
        self.next = dict.fromkeys(sizes, 0)
        self.again = again
        self.asked = []
        self.read_offsets = [-1] * (max(sizes) + 1)

    def has_delivered(self, partition, offset):
        return offset < self.next[partition]

    def redeliver_from(self, partition, offset):
        self.asked.append((partition, offset))
        self.next[partition] = min(self.next[partition], max(0, offset - self.again))

    async def run(self, batch=50):
        while True:
            for partition, size in self.sizes.items():
                start = self.next[partition]
                for offset in range(start, min(size, start + batch)):
                    self.next[partition] = offset + 1
                    self.scorer.on_record(record(partition, offset), transaction(offset), 0)
            await asyncio.sleep(0)


def transaction(n):
    return Transaction(tx_id=f"t{n}", ts=n, card_id="c", amount_cents=1)


def record(partition, offset, value=None):
    return SimpleNamespace(partition=partition, offset=offset, headers=(), value=value)


def decision(tx, partition=0, offset=0):
    return Decision(
        tx_id=tx.tx_id, ts=tx.ts, card_id=tx.card_id, amount_cents=1, score=0.1, action="approve", reasons=[],
        rule_hits=[], model_version="1", policy_version="1", variant="champion",
        stamps=Stamps(intended=1, received=1, state_read=1, features=1, scored=1, decided=1),
        source_partition=partition, source_offset=offset,
        prefix=LogPrefix(slots={}, tail_from=[], tail_to=[]), staleness_ms=0.0, features=[], feature_hash="",
    )  # fmt: skip


def scorer_of(sizes, decided=-1):
    decider, producer = Decider(), Producer()
    reader = SimpleNamespace(in_flight=InFlight(UnfoldedLog(max(sizes) + 1, 1_000)))
    gone_out = []
    scorer = StreamScorer(
        Settings(_env_file=None), decider, reader, producer, Log(), lambda tx, _: gone_out.append(tx.tx_id)
    )
    scorer.gone_out = gone_out
    decider.scorer = scorer
    scorer.log_reader = LogReader(scorer, sizes)
    assign(scorer, sizes, decided)
    return scorer


def assign(scorer, partitions, decided):
    for partition in partitions:
        scorer._assigned.add(partition)
        scorer._own(partition, decided)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def cancel(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def offsets(scorer, partition):
    return [offset for p, offset in scorer._producer.sent if p == partition]

"""The log of `bench features`: the world's transactions and labels, written to Kafka in one go."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer

from fraudsim.log import headers as h
from fraudsim.log.clock import Clock, horizon_ms
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Label, Segment, Transaction, encoder
from fraudsim.log.topics import LABELS, TRANSACTIONS, create_topics
from fraudsim.settings import Settings
from producers.sources.world_source import WorldSource
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue.features import DAY

SEED: Final = 7
IN_FLIGHT: Final = 2_000
"""Most records that await an acknowledgement."""


@dataclass(frozen=True)
class Traffic:
    """The events of the log, in order of event time."""

    transactions: tuple[Transaction, ...]
    labels: tuple[Label, ...]

    def cards(self) -> list[str]:
        """Every card that appears, the one with the most transactions first."""
        counts = Counter(tx.card_id for tx in self.transactions)
        return sorted(counts, key=lambda card: (-counts[card], card))

    def by_card(self, cards: Iterable[str]) -> dict[str, list[Transaction]]:
        """Every transaction of these cards, in the order of the log: those of a card are in one partition."""
        transactions: dict[str, list[Transaction]] = {card: [] for card in cards}
        for tx in self.transactions:
            if tx.card_id in transactions:
                transactions[tx.card_id].append(tx)
        return transactions


def make_traffic(events: int, cards: int) -> Traffic:
    """The first `events` transactions of a world of `cards`, and the labels known by the last of them."""
    transactions: list[Transaction] = []
    labels: list[Label] = []
    for item in WorldSource(World(WorldConfig(cards=cards, seed=SEED)), 0).items():
        if isinstance(item.event, Transaction):
            transactions.append(item.event)
            if len(transactions) == events:
                break
        elif isinstance(item.event, Label):
            labels.append(item.event)
    return Traffic(tuple(transactions), tuple(labels))


def fill(settings: Settings, traffic: Traffic) -> Segment:
    """Create the topics and write every record once. Returns the log's only clock segment.

    The clock stands at the end of the traffic, and its limits accept all of it. The horizon is that of a
    clock at speed 1, as for a worker that catches up after a stop.
    """
    create_topics(settings)
    first, last = traffic.transactions[0].ts, traffic.transactions[-1].ts
    segment = Segment(
        log_id=uuid.uuid4().hex,
        number=0,
        event_epoch_ms=last,
        wall_epoch_ms=int(time.time() * 1000),
        speed=0.0,
        past_ms=last - first + DAY,
        future_ms=DAY,
        horizon_ms=horizon_ms(1.0),
    )
    ClockLog(settings.kafka_bootstrap, Clock()).append(segment)
    asyncio.run(_write(settings, traffic))
    return segment


async def _write(settings: Settings, traffic: Traffic) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", enable_idempotence=True, linger_ms=5
    )
    headers = [(h.SEGMENT, h.encode_int(0))]
    await producer.start()
    try:
        for topic, events in ((TRANSACTIONS, traffic.transactions), (LABELS, traffic.labels)):
            pending = []
            for event in events:
                value, key = encoder.encode(event), event.card_id.encode()
                pending.append(await producer.send(topic, value, key, headers=headers))
                if len(pending) == IN_FLIGHT:
                    await asyncio.gather(*pending)
                    pending.clear()
            await asyncio.gather(*pending)
    finally:
        await producer.stop()

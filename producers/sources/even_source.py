"""Transactions at an even rate, for benchmarks of the sender: cheap to make, without a pattern to learn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fraudsim.log.events import Transaction
from fraudsim.log.topics import TRANSACTIONS
from producers.sources.source import Item

CARDS: Final = 5_000
START_MS: Final = 1_700_000_000_000


@dataclass
class EvenSource:
    """`count` honest transactions, `rate` a second of wall time; a `Source` for one speed."""

    rate: int
    count: int
    speed: int = 1
    """Event seconds per wall second."""
    name: str = "bench"
    start_ms: int = START_MS

    def items(self) -> Iterator[Item]:
        for number in range(self.count):
            ts = self.start_ms + number * 1000 * self.speed // self.rate
            tx_id, card = f"bench-{number:012}", f"card-{number * 7919 % CARDS}"
            event = Transaction(
                tx_id=tx_id,
                ts=ts,
                card_id=card,
                merchant_id=f"merchant-{number % 1000}",
                device_id=f"device-{number % 4000}",
                ip="203.0.113.7",
                amount_cents=4_200,
                currency="EUR",
                mcc=5411,
                channel="ecommerce",
                country="DE",
                lat=52.52,
                lon=13.405,
            )
            yield Item(ts, TRANSACTIONS, card, event)
